// reporters.mjs - the same interface three more times: MLflow, TensorBoard's files, wandb's files.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { FakeMlflow } from '../support/fake_mlflow.mjs';
import { Stage, runCases } from './wandb_harness.mjs';

const READER = path.join(path.dirname(fileURLToPath(import.meta.url)), '../support/read_files.py');

function read(kind, file) {
  const text = execFileSync('python3', [READER, kind, file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return text.trim().split('\n').map((line) => JSON.parse(line.replace(/: (NaN|-?Infinity)\b/g, ': "$1"')));
}

function filesBelow(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

const said = (value) => (typeof value === 'string' ? value : Math.fround(value));

/** TensorBoard's files say what the store holds; numbers as float32. */
function checkBoard(stage, out) {
  const expected = stage.expected();
  const files = filesBelow(out);
  assert.equal(files.length, expected.size);
  for (const file of files) {
    const [head, ...events] = read('tensorboard', file);
    assert.equal(head.version, 'brain.Event:2');
    const records = expected.get(file.split('.').at(-1));
    assert.equal(events.length, records.length);
    events.forEach((event, i) => {
      const { _step, _timestamp, ...values } = records[i];
      assert.equal(event.step, _step);
      assert.equal(event.wall_s, _timestamp);
      assert.deepEqual(event.values, Object.fromEntries(Object.entries(values).map(([key, value]) => [key, said(value)])));
    });
  }
}

/** Each metric is defined once, losses over tokens. */
function checkMetrics(records) {
  const metrics = records.filter(({ kind }) => kind === 'metric');
  const names = metrics.map(({ name }) => name);
  assert.deepEqual([...names].sort(), ['_runtime', 'mem/rss_bytes', 'odd', 'tokens', 'train/loss', 'val/loss']);
  const said = Object.fromEntries(metrics.map(({ name, axis, goal, options, summary }) => [name, { axis, goal, options, summary }]));
  assert.deepEqual(said['val/loss'], { axis: 'tokens', goal: 1, options: { 1: 1, 3: 1 }, summary: { 7: 1 } });
  assert.deepEqual(said.odd, { axis: '', goal: 0, options: { 1: 1, 3: 1 }, summary: { 7: 1 } });
  assert.deepEqual(said.tokens, { axis: '', goal: 0, options: { 3: 1 }, summary: { 7: 1 } });
  assert.deepEqual(said._runtime, { axis: '', goal: 0, options: { 3: 1 }, summary: { 6: 1 } });
}

/** System metrics stand beside every line that measured them. */
function checkMachine(records, expected) {
  const stats = records.filter(({ kind }) => kind === 'stats');
  assert.equal(stats.length, expected.length);
  stats.forEach(({ items, at_s: at }, i) => {
    assert.equal(at, Math.trunc(expected[i]._timestamp));
    assert.deepEqual(Object.keys(items), ['proc.memory.rssMB']);
    assert.ok(Math.abs(items['proc.memory.rssMB'] * 1048576 - expected[i]['mem/rss_bytes']) < 1e-9);
  });
}

function consoleOf(out, stream) {
  return read('wandb', filesBelow(out)[0]).filter((record) => record.kind === 'output' && record.stream === stream)
    .map(({ line }) => line);
}

/** wandb's files hold the runs from header to footer. */
function checkOffline(stage, out, exitCode) {
  const expected = stage.expected();
  const files = filesBelow(out);
  assert.equal(files.length, expected.size);
  for (const file of files) {
    const [, key] = /offline-run-\d{8}_\d{6}-(\w+)\/run-\1\.wandb$/.exec(file);
    const records = read('wandb', file);
    const kinds = records.map((record) => record.kind);
    assert.deepEqual(kinds.slice(0, 2), ['header', 'run']);
    const end = ['metric', 'summary', ...(exitCode === undefined ? [] : ['exit', 'final', 'footer'])];
    assert.deepEqual(kinds.slice(-end.length), end);
    assert.equal(kinds.filter((kind) => kind === 'summary').length, 1);
    checkMetrics(records);
    checkMachine(records, expected.get(key));
    if (exitCode !== undefined) assert.equal(records.at(-3).exit_code, exitCode);
    assert.equal(records[1].id, key);
    assert.equal(records[1].config.optim, '{"lr":0.0003}');
    const history = records.filter((record) => record.kind === 'history');
    assert.equal(history.length, expected.get(key).length);
    history.forEach(({ items, step }, i) => {
      const { _runtime, ...rest } = Object.fromEntries(Object.entries(items).map(([name, json]) =>
        [name, /^(NaN|-?Infinity)$/.test(json) ? json : JSON.parse(json)]));
      assert.ok(_runtime >= 0);
      assert.equal(step, rest._step);
      assert.deepEqual(rest, expected.get(key)[i]);
    });
  }
}

async function on(test) {
  const stage = await Stage.open();
  stage.out = `${stage.home}-out`;
  try {
    await test(stage);
  } finally {
    fs.rmSync(stage.out, { recursive: true, force: true });
    await stage.close();
  }
}

/** `bnexp sync mlflow`; resolves to {code, text}. */
async function mlflow(stage, server, extra = {}) {
  const child = spawn(process.env.BNEXP, ['sync', 'mlflow', '--home', stage.home, '--wait', '0.02', '--timeout', '2'],
    { env: stage.environment({ MLFLOW_TRACKING_URI: server.url, ...extra }) });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { text += data; });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, text };
}

function checkMlflow(stage, server, status) {
  assert.deepEqual(server.violations, []);
  const expected = stage.expected();
  assert.equal(server.runs.length, expected.size);
  for (const run of server.runs) {
    const points = expected.get(run.tags['bnexp.run']).flatMap(({ _step, _timestamp, ...values }) =>
      Object.entries(values).map(([key, value]) => `${key}|${_step}|${Math.trunc(_timestamp * 1000)}|${Number(value)}`));
    assert.deepEqual([...run.metrics.keys()].sort(), points.sort());
    assert.deepEqual(run.params, { 'optim.lr': '0.0003', 'quant.variant': 'ternary', 'train.seed': run.info.run_name.slice(-1) });
    assert.equal(run.info.status, status);
  }
}

await runCases({
  tensorboard_files_grow_with_the_home: () => on(async (stage) => {
    stage.make('create', 2, 1030, 5);
    const args = ['export', '--format', 'tensorboard', '--out', stage.out];
    assert.match(stage.bnexp(...args), /2 runs, 2060 records delivered/);
    checkBoard(stage, stage.out);
    stage.make('append', 3);
    stage.make('end', 'finished', 0);
    stage.bnexp(...args);
    checkBoard(stage, stage.out);
    assert.match(stage.bnexp(...args), /nothing new/);
  }),

  what_a_killed_writer_left_is_cut_off: () => on(async (stage) => {
    stage.make('create', 1, 5, 5);
    const args = ['sync', 'tensorboard', '--out', stage.out];
    stage.bnexp(...args);
    fs.appendFileSync(filesBelow(stage.out)[0], 'half an event');
    stage.make('append', 2);
    stage.bnexp(...args);
    checkBoard(stage, stage.out);
  }),

  removed_files_are_written_again: () => on(async (stage) => {
    stage.make('create', 1, 5, 5);
    stage.bnexp('sync', 'tensorboard', '--out', stage.out);
    fs.rmSync(stage.out, { recursive: true });
    stage.bnexp('sync', 'tensorboard', '--out', stage.out);
    checkBoard(stage, stage.out);
  }),

  wandb_files_hold_whole_runs: () => on(async (stage) => {
    stage.make('create', 2, 1100, 5); // several blocks of 32 KiB
    const args = ['export', '--format', 'wandb-offline', stage.out];
    stage.bnexp(...args);
    checkOffline(stage, stage.out);
    stage.make('end', 'failed', 3);
    stage.bnexp(...args);
    checkOffline(stage, stage.out, 3);
    stage.make('again');
    stage.make('append', 4);
    stage.make('end', 'finished', 0);
    stage.bnexp(...args);
    checkOffline(stage, stage.out, 0);
  }),

  wandb_files_hold_the_console_line_by_line: () => on(async (stage) => {
    const args = ['export', '--format', 'wandb-offline', stage.out];
    stage.make('create', 1, 5, 5);
    const [key] = stage.expected().keys();
    stage.bnexp(...args);
    const [said, progress] = [`attempt 1 of "${key}"\n`, '10 %\r100 %\n'];
    assert.deepEqual(consoleOf(stage.out, 'stdout'), [`stdout.log ${said}`, progress]);
    fs.appendFileSync(path.join(stage.home, 'lr/ternary-s0/stderr.log'), Buffer.from([0xff, 0x0a, 0x78]));
    stage.make('append', 2);
    stage.make('end', 'finished', 0);
    stage.bnexp(...args);
    checkOffline(stage, stage.out, 0);
    assert.deepEqual(consoleOf(stage.out, 'stdout'), [`stdout.log ${said}`, progress, 'open end\n']);
    assert.deepEqual(consoleOf(stage.out, 'stderr'), [`stderr.log ${said}`, progress, 'open end\ufffd\n', 'x\n']);
  }),

  wandb_files_say_what_people_said_of_a_run: () => on(async (stage) => {
    stage.make('create', 1, 3, 5);
    execFileSync('python3', ['-c', `import sqlite3, sys
with sqlite3.connect(sys.argv[1] + '/bnexp.db') as db:
    db.execute("""UPDATE sweep SET spec = 'project = "theirs"' || char(10) || 'entity = "team"'""")
    db.execute("INSERT INTO origin SELECT id, 'git.commit', 'c0ffee' FROM run")`, stage.home]);
    const [key] = stage.expected().keys();
    stage.bnexp('tag', key, 'mine');
    stage.bnexp('note', key, 'why it was made');
    const { code, text } = await stage.sync([], { WANDB_MODE: 'offline', WANDB_DIR: stage.out, WANDB_TAGS: 'all, mine' });
    assert.equal(code, 0, text);
    const [, run] = read('wandb', filesBelow(stage.out)[0]);
    assert.deepEqual(run.tags, ['ternary', 'lr', 'mine', 'all']);
    assert.deepEqual([run.notes, run.commit, run.project, run.entity], ['why it was made', 'c0ffee', 'theirs', 'team']);
  }),

  offline_mode_writes_files_and_asks_for_no_key: () => on(async (stage) => {
    stage.make('create', 1, 6, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync([], { WANDB_MODE: 'offline', WANDB_DIR: stage.out, WANDB_API_KEY: '' });
    assert.equal(code, 0, text);
    assert.equal(stage.fake.requests.length, 0);
    checkOffline(stage, path.join(stage.out, 'wandb'), 0);
  }),

  mlflow_gets_every_point_once: () => on(async (stage) => {
    const authorization = `Basic ${Buffer.from('me:pass').toString('base64')}`;
    const server = await new FakeMlflow({ authorization }).start();
    const login = { MLFLOW_TRACKING_USERNAME: 'me', MLFLOW_TRACKING_PASSWORD: 'pass' };
    stage.make('create', 2, 350, 5);
    assert.equal((await mlflow(stage, server, login)).code, 0);
    checkMlflow(stage, server, 'RUNNING');
    stage.make('append', 5);
    stage.make('end', 'killed', -1);
    assert.equal((await mlflow(stage, server, login)).code, 0);
    checkMlflow(stage, server, 'KILLED');
    assert.match((await mlflow(stage, server, login)).text, /nothing new/);
    stage.make('again');
    const wrong = await mlflow(stage, server);
    assert.equal(wrong.code, 2);
    assert.match(wrong.text, /HTTP 401/);
    await server.stop();
  }),

  mlflow_survives_lost_answers: () => on(async (stage) => {
    const server = await new FakeMlflow().start();
    stage.make('create', 1, 250, 5);
    stage.make('end', 'finished', 0);
    for (const on of ['experiments/create', 'runs/create', 'runs/log-batch', 'runs/update', 'runs/search']) {
      server.faults.push({ on, kind: 'lost', times: 1 }, { on, kind: 503, times: 1 });
    }
    const { code, text } = await mlflow(stage, server);
    assert.equal(code, 0, text);
    checkMlflow(stage, server, 'FINISHED');
    assert.equal(server.experiments.length, 1);
    await server.stop();
  }),

  mlflow_password_in_the_address_stays_there: () => on(async (stage) => {
    const server = await new FakeMlflow().start();
    stage.make('create', 1, 2, 5);
    const { code, text } = await mlflow(stage, { url: server.url.replace('://', '://user:hunter2@') });
    assert.equal(code, 0, text);
    assert.ok(text.includes(server.url) && !text.includes('hunter2'), text);
    await server.stop();
  }),

  mlflow_gets_names_that_are_no_other_path: () => on(async (stage) => {
    const server = await new FakeMlflow().start();
    const file = `${stage.home}/paths.toml`;
    const line = '{"values":{"a//b":1,"/c":2,"d/":3,"..":4,".":5,"e/../f":6,"g/h":7}}';
    fs.writeFileSync(file, `name = "paths"\nmethod = "grid"\n` +
      `command = ["sh", "-c", "echo '${line.replaceAll('"', '\\"')}' > $BNEXP_EVENTS"]\n` +
      `[parameters]\nx = { values = [1] }\n`);
    stage.bnexp('sweep', file);
    const { code, text } = await mlflow(stage, server);
    assert.equal(code, 0, text);
    assert.deepEqual([...server.runs[0].metrics.values()].map(({ key, value }) => `${key} ${value}`).sort(),
      ['_. 5', '_.. 4', '_/c 2', 'a/_/b 1', 'd/_ 3', 'e/_../f 6', 'g/h 7']);
    await server.stop();
  }),

  mlflow_needs_to_know_where: () => on(async (stage) => {
    stage.make('create', 1, 2, 5);
    const { code, text } = await mlflow(stage, { url: '' });
    assert.equal(code, 2);
    assert.match(text, /mlflow needs MLFLOW_TRACKING_URI/);
  }),
});
