// wandb_traffic.mjs - what wandb's own client sends for a run, we send too, but for a list of
// exceptions that docs/wandb.md explains. Needs the recorded traffic: ../shared/wandb/transcript.jsonl
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { parseLine } from '../support/fake_wandb.mjs';
import { Stage, runCases } from './wandb_harness.mjs';

const TRANSCRIPT = path.join(process.env.WANDB_SCHEMA, 'transcript.jsonl');

// Each is explained in docs/wandb.md, in the table "What we leave out".
const LEFT_OUT = [
  'operation OrganizationCoreWeaveOrganizationID', 'operation RunResumeStatus',
  'viewer field email', 'viewer field flags', 'viewer field teams', 'serverInfo field cliVersionInfo',
  'serverInfo field latestLocalVersionInfo',
  'upsert reply field config', 'upsert reply field description',
  'config _wandb.cli_version', 'config _wandb.python_version',
  'telemetry 3', 'telemetry 4', 'telemetry 5', 'telemetry 12',
  'environment codePath', 'environment codePathLocal', 'environment cpu_count', 'environment cpu_count_logical',
  'environment disk', 'environment email', 'environment executable', 'environment memory', 'environment os',
  'environment python', 'environment root', 'environment username',
  'file output.log', 'file requirements.txt',
  'metric definition summary kind 1',
];

/** Everything that was said, as a set of names; system metrics and the user's own metrics left out. */
function vocabulary(requests) {
  const words = new Set();
  const config = (text) => {
    const { _wandb } = parseLine(text);
    for (const key of Object.keys(_wandb.value)) words.add(`config _wandb.${key}`);
    for (const key of Object.keys(_wandb.value.t ?? {})) words.add(`telemetry ${key}`);
    for (const metric of _wandb.value.m ?? []) {
      for (const key of Object.keys(metric)) words.add(`metric definition member ${key}`);
      for (const kind of metric['7'] ?? []) words.add(`metric definition summary kind ${kind}`);
    }
    for (const place of Object.values(_wandb.value.e ?? {})) {
      for (const key of Object.keys(place)) words.add(`environment ${key}`);
    }
  };
  const reply = (query, root, label) => {
    const body = query.slice(query.indexOf(root));
    for (const field of body.match(/\b[a-zA-Z]+\b(?!\s*[:(])/g) ?? []) words.add(`${label} field ${field}`);
  };
  for (const { url, method, json } of requests) {
    if (method === 'PUT') {
      words.add(`file ${path.basename(new URL(url, 'http://x').pathname)}`);
    } else if (url === '/graphql') {
      const name = json.operationName || /(?:query|mutation)\s+(\w+)/.exec(json.query)[1];
      words.add(`operation ${name}`);
      if (name === 'Viewer') {
        reply(json.query.replace(/serverInfo[^]*/, ''), 'viewer {', 'viewer');
        for (const field of ['cliVersionInfo', 'latestLocalVersionInfo']) {
          if (json.query.includes(field)) words.add(`serverInfo field ${field}`);
        }
      }
      if (name === 'UpsertBucket') {
        for (const [key, value] of Object.entries(json.variables)) {
          words.add(`upsert variable ${key}`);
          if (value !== null) words.add(`upsert value of ${key}`);
        }
        reply(json.query, 'bucket {', 'upsert reply');
        if (json.variables.config) config(json.variables.config);
      }
    } else {
      for (const [key, value] of Object.entries(json)) {
        words.add(`stream member ${key}`);
        if (key !== 'files') continue;
        for (const [file, { content }] of Object.entries(value)) {
          words.add(`stream file ${file}`);
          for (const line of content) {
            if (!line.startsWith('{')) continue;
            for (const name of Object.keys(parseLine(line))) {
              if (name.startsWith('_') || file === 'output.log') words.add(`${file} key ${name}`);
            }
          }
        }
      }
    }
  }
  // Inner words of teams { edges { node { name } } } belong to the field that is left out.
  for (const inner of ['edges', 'node', 'name']) words.delete(`viewer field ${inner}`);
  return words;
}

function official() {
  // The full run of the official client: everything about core0001, resumption included.
  return fs.readFileSync(TRANSCRIPT, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
    .filter((entry) => entry.seq <= 44 && !/corefail/.test(JSON.stringify(entry)))
    .map((entry) => ({ url: entry.url, method: entry.method, json: entry.request_json }));
}

if (!fs.existsSync(TRANSCRIPT)) {
  console.log('SKIP: the recorded traffic is not here');
  process.exit(77);
}

await runCases({
  our_traffic_covers_the_official_clients: async () => {
    const stage = await Stage.open({ features: ['STRUCTURED_CONSOLE_LOGS'] });
    const ours = [];
    const serve = stage.fake.answer.bind(stage.fake);
    stage.fake.answer = (request, raw) => {
      const json = request.method === 'PUT' ? null : JSON.parse(stage.fake.inflate(request, raw).toString());
      ours.push({ url: request.url, method: request.method, json });
      return serve(request, raw);
    };
    try {
      stage.make('create', 1, 20, 5);
      const words = ['--entity', 'team'];
      await stage.sync(words, { WANDB_NOTES: 'a note' });
      stage.make('end', 'crashed', -1);
      stage.make('again'); // as the recorded run was resumed
      stage.make('append', 3);
      stage.make('end', 'finished', 0);
      await stage.sync(words);
      stage.check();
    } finally {
      await stage.close();
    }
    const said = vocabulary(ours);
    const missing = [...vocabulary(official())].filter((word) => !said.has(word)).sort();
    assert.deepEqual(missing, [...LEFT_OUT].sort());
    const docs = fs.readFileSync(new URL('../../docs/wandb.md', import.meta.url), 'utf8');
    for (const word of LEFT_OUT) {
      const name = word.split(/[ .]/).at(-1);
      assert.ok(docs.includes(name), `docs/wandb.md does not explain '${word}'`);
    }
  },
});
