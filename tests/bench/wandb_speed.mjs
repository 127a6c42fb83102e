// wandb_speed.mjs - how fast a home is delivered: `node wandb_speed.mjs [RUNS] [RECORDS] [METRICS]`
// with BNEXP and LIVE_HOME set; `node wandb_speed.mjs live [RUNS] [SECONDS]` follows runs that get a
// record a second each. The server here only counts lines, so that the client is measured.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';

const live = process.argv[2] === 'live';
const [runs, records, metrics] = (live ? [64, 60, 5] : [1000, 1000, 10])
  .map((usual, i) => Number(process.argv[(live ? 3 : 2) + i] ?? usual));
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

function sync(words = [], command = ['/usr/bin/time', '-f', '%U %S %M']) {
  const begin = process.hrtime.bigint();
  const [program, ...args] = [...command, process.env.BNEXP, 'sync', 'wandb', '--home', home, ...words];
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, HOME: home, no_proxy: '127.0.0.1', WANDB_API_KEY: 'k'.repeat(40), WANDB_BASE_URL: `http://127.0.0.1:${server.address().port}` },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { text += data; });
  const ended = new Promise((resolve) => child.on('close', () =>
    resolve({ seconds: Number(process.hrtime.bigint() - begin) / 1e9, text: text.trim().split('\n') })));
  return Object.assign(ended, { pid: child.pid, begin });
}

const make = (...words) => execFileSync(process.env.LIVE_HOME, [home, ...words].map(String), { stdio: 'inherit' });

/** Processor seconds of the program below GNU time, which is child of this process. */
function spent(pid) {
  const child = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const fields = fs.readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1].split(' ');
  return { child: Number(child), seconds: (Number(fields[11]) + Number(fields[12])) / 100 };
}

if (live) {
  make('create', runs, 1, metrics);
  const done = sync(['--watch']);
  for (let second = 0; second < records; second += 1) {
    make('append', 1);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const { child, seconds } = spent(done.pid);
  process.kill(child);
  await done;
  console.log(`${runs} live runs: ${seconds.toFixed(2)} s of CPU in ${((process.hrtime.bigint() - done.begin) / 1000000000n)} s, ${requests} requests`);
  server.close();
  fs.rmSync(home, { recursive: true });
  process.exit(0);
}
make('create', runs, records, metrics);
make('end', 'finished', 0);
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
