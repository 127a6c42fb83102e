// wandb_faults.mjs - whatever the network does, the server ends up with what the store holds.
import assert from 'node:assert/strict';
import { Stage, runCases } from './wandb_harness.mjs';

const KINDS = {
  refused: { kind: 'refused' },
  reset: { kind: 'reset' },
  silent_after_applying: { kind: 'silent' },
  lost_after_applying: { kind: 'lost' },
  408: { code: 408 },
  409: { code: 409 },
  429: { code: 429 },
  '429_with_retry_after': { code: 429, headers: { 'Retry-After': '0' } },
  500: { code: 500 },
  502: { code: 502 },
  503: { code: 503 },
  cut_short: { kind: 'cut' },
  no_json: { kind: 'nojson' },
  slow_drip: { kind: 'drip' },
};
const PLACES = ['upsert', 'sweep', 'history', 'log', 'files', 'put', 'complete'];

const long = await Stage.open();
long.make('create', 1, 1200, 5);
long.make('end', 'finished', 0);
const short = await Stage.open();
short.make('create', 3, 5, 5);
short.make('end', 'finished', 0);
const silent = await Stage.open(); // console lines, and no record
silent.make('create', 3, 0, 5);
silent.make('end', 'finished', 0);

async function survives(fault, on) {
  const stage = await Stage.open({ features: ['FILESTREAM_GZIP'] });
  try {
    stage.copy(long);
    // A sweep page that was made is found by the next try, so a lost answer strikes only once.
    const applied = on === 'sweep' && !fault.code && !['refused', 'reset'].includes(fault.kind);
    stage.fake.faults.push({ on, times: applied ? 1 : 2, ...fault });
    // Only an answer that never comes is to run into the time-out, however busy the machine is.
    const never = ['silent', 'drip'].includes(fault.kind);
    const { code, text } = await stage.sync(['--timeout', never ? '1' : '20']);
    assert.equal(code, 0, text);
    assert.equal(stage.fake.faults[0].times, 0, 'the fault has struck');
    stage.check();
    stage.checkEnds(0);
    const [run] = stage.fake.runs.values();
    assert.deepEqual(Object.keys(run.files).sort(),
      ['config.yaml', 'sweep.toml', 'wandb-metadata.json', 'wandb-summary.json']);
    assert.deepEqual([...new Set(run.uploaded)].sort(), Object.keys(run.files).sort());
    assert.equal(stage.fake.sweeps.size, 1);
    assert.equal(run.streams['output.log'].length, 6);
  } finally {
    await stage.close();
  }
}

const cases = {};
for (const on of PLACES) {
  for (const [name, fault] of Object.entries(KINDS)) cases[`${name}_at_${on}`] = () => survives(fault, on);
}

for (const code of [400, 401, 403, 404, 410, 413, 422]) {
  cases[`${code}_stops_one_run_and_no_other`] = async () => {
    const stage = await Stage.open();
    try {
      stage.copy(short);
      stage.fake.faults.push({ on: 'complete', times: 1, code });
      const { code: exit, text } = await stage.sync();
      assert.equal(exit, 6, text);
      assert.match(text, new RegExp(`refused 1 run .*HTTP ${code}`));
      assert.match(stage.bnexp('sync', 'wandb', '--status'), new RegExp(`refused: .*HTTP ${code}`));
      assert.equal([...stage.fake.runs.values()].filter((run) => run.exitcode === 0).length, 2);
      const again = await stage.sync();
      assert.equal(again.code, 6, 'it is still missing');
      assert.match(again.text, new RegExp(`refused 1 run .*HTTP ${code}`));
      assert.equal((await stage.sync(['--retry'])).code, 0);
      stage.check();
      stage.checkEnds(0);
    } finally {
      await stage.close();
    }
  };
}

/** A stage with three ended runs whose files meet with `fault`; all but the files has arrived. */
async function withoutStorage(fault, verify, ended = short) {
  const stage = await Stage.open();
  try {
    stage.copy(ended);
    stage.fake.faults.push({ on: 'put', times: 1e6, ...fault });
    const { code, text } = await stage.sync(['--patience', '1']);
    stage.check();
    stage.checkEnds(0);
    for (const run of stage.fake.runs.values()) assert.equal(run.uploaded.length, 0);
    verify(code, text);
    stage.fake.faults.length = 0;
    assert.equal((await stage.sync(['--retry'])).code, 0);
    for (const run of stage.fake.runs.values()) assert.equal(new Set(run.uploaded).size, 4);
  } finally {
    await stage.close();
  }
}

cases.storage_out_of_reach_keeps_no_run_from_its_end = () =>
  withoutStorage({ code: 503 }, (code, text) => {
    assert.equal(code, 1, text);
    assert.match(text, /the storage at .* answers HTTP 503; what is missing is kept/);
  });

cases.storage_that_refuses_keeps_no_run_from_its_end = () =>
  withoutStorage({ code: 403 }, (code, text) => {
    assert.equal(code, 6, text);
    assert.match(text, /refused 3 runs .*file wandb-metadata.json: the storage at .*HTTP 403/);
  });

cases.files_of_runs_that_measured_nothing_are_told_when_the_storage_is_back = () =>
  withoutStorage({ code: 503 }, (code, text) => assert.equal(code, 1, text), silent);

cases.redirect_on_the_way_is_waited_out = async () => {
  const stage = await Stage.open();
  try {
    stage.copy(short);
    stage.fake.faults.push({ on: 'complete', times: 2, code: 302, headers: { Location: 'http://127.0.0.1:1/login' } });
    assert.equal((await stage.sync()).code, 0);
    stage.check();
    stage.checkEnds(0);
  } finally {
    await stage.close();
  }
};

cases.server_that_keeps_files_itself_gets_them = async () => {
  const stage = await Stage.open({ ownStorage: true });
  try {
    stage.copy(short);
    assert.equal((await stage.sync()).code, 0);
    stage.check();
    for (const run of stage.fake.runs.values()) assert.equal(new Set(run.uploaded).size, 4);
  } finally {
    await stage.close();
  }
};

cases.three_processes_at_once_say_everything_once = async () => {
  const stage = await Stage.open();
  try {
    stage.copy(short);
    const codes = await Promise.all([1, 2, 3].map(async () => (await stage.sync()).code));
    assert.deepEqual(codes, [0, 0, 0]);
    stage.check();
    stage.checkEnds(0);
    assert.equal(stage.fake.sweeps.size, 1);
  } finally {
    await stage.close();
  }
};

await runCases(cases, 8);
await long.close();
await short.close();
await silent.close();
