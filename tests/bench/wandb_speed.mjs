// wandb_speed.mjs - how fast a home is delivered: `node wandb_speed.mjs [RUNS] [RECORDS] [METRICS]`
// with BNEXP and LIVE_HOME set. The server here only counts lines, so that the client is measured.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';

const [runs, records, metrics] = [1000, 1000, 10].map((usual, i) => Number(process.argv[2 + i] ?? usual));
const features = process.env.GZIP ? [{ name: 'FILESTREAM_GZIP', isEnabled: true }] : [];
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'bnexp-speed-'));
let lines = 0;
let requests = 0;

function answer(request, body) {
  if (request.url !== '/graphql') {
    // A line is an element of "content"; counting them is all the work that is done here.
    const history = /"wandb-history.jsonl":\{"offset":\d+,"content":\[(.*?)\]/s.exec(body);
    if (history) lines += history[1].split('"{').length - 1;
    return { exitcode: null, limits: {} };
  }
  const { operationName, variables } = JSON.parse(body);
  switch (operationName) {
    case 'Viewer':
      return { data: { viewer: { entity: 'team' } } };
    case 'ServerFeaturesQuery':
      return { data: { serverInfo: { features } } };
    case 'UpsertBucket':
      return { data: { upsertBucket: { bucket: { name: variables.name, project: { name: 'p', entity: { name: 'team' } } } } } };
    case 'CreateRunFiles': {
      const files = variables.files.map((name) => ({ name, uploadUrl: `http://127.0.0.1:${server.address().port}/put/${name}` }));
      return { data: { createRunFiles: { runID: 'r', uploadHeaders: [], files } } };
    }
    case 'UpsertSweep':
      return { data: { upsertSweep: { sweep: { id: 'i', name: 's', state: 'RUNNING' } } } };
    default:
      return { data: { project: { sweeps: { edges: [] } } } };
  }
}

const server = http.createServer((request, reply) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    requests += 1;
    let body = Buffer.concat(chunks);
    if (request.headers['content-encoding'] === 'gzip') body = zlib.gunzipSync(body);
    reply.end(request.method === 'PUT' ? '' : JSON.stringify(answer(request, body.toString('latin1'))));
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

function sync() {
  const begin = process.hrtime.bigint();
  const child = spawn('/usr/bin/time', ['-f', '%U %S %M', process.env.BNEXP, 'sync', 'wandb', '--home', home], {
    env: { PATH: process.env.PATH, HOME: home, no_proxy: '127.0.0.1', WANDB_API_KEY: 'k'.repeat(40), WANDB_BASE_URL: `http://127.0.0.1:${server.address().port}` },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { text += data; });
  return new Promise((resolve) => child.on('close', () =>
    resolve({ seconds: Number(process.hrtime.bigint() - begin) / 1e9, text: text.trim().split('\n') })));
}

execFileSync(process.env.LIVE_HOME, [home, 'create', runs, records, metrics].map(String), { stdio: 'inherit' });
execFileSync(process.env.LIVE_HOME, [home, 'end', 'finished', '0'], { stdio: 'inherit' });
for (const what of ['first', 'up to date']) {
  const before = lines;
  const { seconds, text } = await sync();
  const [user, system, kib] = text.pop().split(' ').map(Number);
  const points = (lines - before) * metrics;
  console.log(`${what}: ${seconds.toFixed(2)} s, ${points} points, ${Math.round(points / seconds)} points/s, ` +
    `cpu ${(user + system).toFixed(2)} s, ${(kib / 1024).toFixed(0)} MiB, ${requests} requests; ${text.join(' | ')}`);
}
server.close();
fs.rmSync(home, { recursive: true });
