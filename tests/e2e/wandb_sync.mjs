// wandb_sync.mjs - `bnexp sync wandb` on a good day, and with bad settings.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { parseLine } from '../support/fake_wandb.mjs';
import { KEY, Stage, runCases } from './wandb_harness.mjs';

async function on(options, test) {
  const stage = await Stage.open(options);
  try {
    await test(stage);
  } finally {
    await stage.close();
  }
}

const first = (stage) => [...stage.fake.runs.values()][0];

await runCases({
  finished_runs_arrive_whole: () => on({}, async (stage) => {
    stage.make('create', 3, 25, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    assert.match(text, /3 runs, 75 records delivered to http.*\/team\/bnexp/);
    stage.check();
    stage.checkEnds(0);
    assert.equal(stage.fake.runs.size, 3);
  }),

  a_run_is_described_as_wandb_describes_runs: () => on({}, async (stage) => {
    stage.make('create', 1, 5, 5);
    stage.make('end', 'failed', 3);
    await stage.sync(['--project', 'p 1'], { WANDB_TAGS: 'a, b,ternary', WANDB_NOTES: 'why' });
    const run = first(stage);
    assert.equal(run.project, 'p 1');
    assert.equal(run.displayName, 'ternary-s0');
    assert.equal(run.groupName, 'lr');
    assert.equal(run.jobType, 'train');
    assert.equal(run.host, 'box');
    assert.equal(run.notes, 'why');
    assert.deepEqual(run.tags, ['ternary', 'lr', 'a', 'b']);
    const { _wandb, ...config } = parseLine(run.config);
    assert.deepEqual(config, {
      optim: { value: { lr: 0.0003 } }, quant: { value: { variant: 'ternary' } }, train: { value: { seed: 0 } },
    });
    assert.deepEqual(_wandb.value.m.map((metric) => metric['1']).sort(),
      ['_runtime', 'mem/rss_bytes', 'odd', 'tokens', 'train/loss', 'val/loss']);
    const summary = parseLine(run.streams['wandb-summary.json'][0]);
    assert.equal(summary['bnexp/state'], 'failed');
    assert.equal(summary._step, 40);
    assert.equal(run.streams['wandb-events.jsonl'].length, 5);
    stage.check();
    stage.checkEnds(3);
  }),

  a_second_call_sends_nothing: () => on({}, async (stage) => {
    stage.make('create', 2, 10, 5);
    stage.make('end', 'finished', 0);
    await stage.sync();
    const before = stage.fake.requests.length;
    const { code, text } = await stage.sync();
    assert.equal(code, 0);
    assert.match(text, /nothing new/);
    assert.equal(stage.fake.requests.length, before);
  }),

  only_what_is_new_follows: () => on({}, async (stage) => {
    stage.make('create', 1, 10, 5);
    await stage.sync();
    assert.equal(first(stage).exitcode, null);
    stage.make('append', 7);
    stage.make('end', 'finished', 0);
    await stage.sync();
    stage.check();
    stage.checkEnds(0);
    assert.equal(first(stage).repeated, undefined);
  }),

  another_attempt_continues_the_lines: () => on({}, async (stage) => {
    stage.make('create', 1, 10, 5);
    stage.make('end', 'crashed', -1);
    await stage.sync();
    stage.checkEnds(1);
    stage.make('again');
    await stage.sync();
    assert.equal(first(stage).exitcode, null);
    stage.make('append', 5);
    stage.make('end', 'finished', 0);
    await stage.sync();
    stage.check();
    stage.checkEnds(0);
  }),

  a_long_history_is_sent_in_pieces: () => on({ features: ['FILESTREAM_GZIP'] }, async (stage) => {
    stage.make('create', 1, 3500, 5);
    stage.make('end', 'finished', 0);
    await stage.sync();
    stage.check();
    assert.ok(stage.fake.requests.filter((request) => request.what === 'history').length >= 3);
  }),

  console_lines_keep_their_places: () => on({ features: ['STRUCTURED_CONSOLE_LOGS'] }, async (stage) => {
    stage.make('create', 1, 2, 5);
    await stage.sync();
    stage.make('end', 'crashed', -1);
    stage.make('again');
    stage.make('end', 'finished', 0);
    await stage.sync();
    const lines = first(stage).streams['output.log'].map((line) => JSON.parse(line));
    const { name } = first(stage);
    assert.deepEqual(lines.map((line) => [line.level ?? '', line.content]), [
      ['', `stdout.log attempt 1 of "${name}"`], ['', '100 %'],
      ['error', `stderr.log attempt 1 of "${name}"`], ['error', '100 %'],
      ['', `open endstdout.log attempt 2 of "${name}"`], ['', '100 %'], ['', 'open end'],
      ['error', `open endstderr.log attempt 2 of "${name}"`], ['error', '100 %'], ['error', 'open end'],
    ]);
    stage.check();
  }),

  names_of_the_server_are_adopted: () => on({ adopt: (name) => `${name}-renamed` }, async (stage) => {
    stage.make('create', 1, 4, 5);
    await stage.sync();
    stage.fake.options.adopt = (name) => name; // the new name is now known
    stage.make('append', 4);
    stage.make('end', 'finished', 0);
    await stage.sync();
    assert.equal(first(stage).project, 'bnexp-renamed');
    assert.equal(stage.fake.runs.size, 1);
    stage.check();
    stage.checkEnds(0);
  }),

  a_key_that_the_server_repeats_is_not_repeated: () => on({}, async (stage) => {
    stage.make('create', 1, 4, 5);
    stage.fake.faults.push({ on: 'upsert', times: 1, code: 403, echo: true });
    const { code, text } = await stage.sync();
    assert.equal(code, 6);
    assert.match(text, /this key may not write there: check --entity and --project \(HTTP 403\)/);
    stage.said += stage.bnexp('sync', 'wandb', '--status');
    stage.checkSecrets();
  }),

  an_old_server_gets_runs_without_files: () => on({ old: true }, async (stage) => {
    stage.make('create', 1, 4, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    stage.check();
    stage.checkEnds(0);
    assert.deepEqual(first(stage).files, {});
  }),

  a_small_quota_slows_and_loses_nothing: () => on({ headers: { 'RateLimit-Remaining': '40', 'RateLimit-Reset': '1' } }, async (stage) => {
    stage.make('create', 4, 20, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    stage.check();
    stage.checkEnds(0);
  }),

  a_quota_smaller_than_a_push_still_lets_it_through: () => on({ quota: 2 }, async (stage) => {
    stage.make('create', 2, 20, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    stage.check();
    stage.checkEnds(0);
  }),

  a_spent_quota_is_waited_for: () => on({ headers: { 'RateLimit-Remaining': '0', 'RateLimit-Reset': '0.1' } }, async (stage) => {
    stage.make('create', 1, 20, 5);
    stage.make('end', 'finished', 0);
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    stage.check();
    stage.checkEnds(0);
  }),

  the_key_may_come_from_netrc: () => on({}, async (stage) => {
    stage.make('create', 1, 4, 5);
    stage.make('end', 'finished', 0);
    const netrc = path.join(path.dirname(stage.home), `${path.basename(stage.home)}.netrc`);
    const host = `127.0.0.1:${stage.fake.port}`;
    fs.writeFileSync(netrc, `machine 127.0.0.1 password no\nmachine ${host} login user password ${KEY}\n`);
    const { code, text } = await stage.sync([], { WANDB_API_KEY: '', NETRC: netrc });
    fs.unlinkSync(netrc);
    assert.equal(code, 0, text);
    stage.check();
  }),

  tags_and_notes_arrive_whenever_they_are_made: () => on({}, async (stage) => {
    stage.make('create', 2, 4, 5);
    stage.make('end', 'finished', 0);
    assert.equal((await stage.sync()).code, 0);
    const [run, other] = stage.fake.runs.values();
    const long = 'é'.repeat(3000);
    stage.bnexp('tag', run.name, 'best');
    stage.bnexp('note', run.name, long);
    stage.bnexp('note', run.name, 'and\nmore');
    const { code, text } = await stage.sync();
    assert.equal(code, 0, text);
    assert.match(text, /1 run, 0 records delivered/);
    assert.ok(run.tags.includes('best') && !other.tags.includes('best'));
    assert.equal(run.notes, `${long}\n\nand\nmore`);
    stage.bnexp('tag', run.name, '--remove', 'best');
    await stage.sync();
    assert.ok(!run.tags.includes('best'));
    assert.match((await stage.sync()).text, /nothing new/);
    stage.check();
    stage.checkEnds(0);
  }),

  no_key_and_a_wrong_key_say_what_to_do: () => on({}, async (stage) => {
    stage.make('create', 1, 4, 5);
    const none = await stage.sync([], { WANDB_API_KEY: '' });
    assert.equal(none.code, 2);
    assert.match(none.text, /^bnexp: no API key for 127\.0\.0\.1:\d+: set WANDB_API_KEY, or put .*netrc\n$/);
    const wrong = await stage.sync([], { WANDB_API_KEY: 'x'.repeat(40) });
    assert.equal(wrong.code, 2);
    assert.match(wrong.text, /^bnexp: .*does not take this API key.*\n$/);
    assert.equal(stage.fake.runs.size, 0);
    assert.equal((await stage.sync()).code, 0); // and nothing is blocked by it
    stage.check();
  }),

  an_unknown_entity_blocks_and_retry_frees: () => on({}, async (stage) => {
    stage.make('create', 2, 4, 5);
    stage.make('end', 'finished', 0);
    const refused = await stage.sync(['--entity', 'nobody']);
    assert.equal(refused.code, 6);
    assert.match(refused.text, /refused 2 runs .*entity nobody not found/);
    assert.match(stage.bnexp('sync', 'wandb', '--status'), /refused: .*HTTP 404/);
    assert.match((await stage.sync()).text, /nothing new/);
    assert.equal((await stage.sync(['--retry'])).code, 0);
    stage.check();
    stage.checkEnds(0);
    const status = JSON.parse(stage.bnexp('sync', 'wandb', '--status', '--json'));
    assert.deepEqual(status.runs.map((run) => run.delivery), ['delivered', 'delivered']);
  }),

  retry_with_names_touches_only_those: () => on({}, async (stage) => {
    for (const name of ['one', 'two']) {
      const file = path.join(stage.home, `${name}.toml`);
      fs.writeFileSync(file, `name = "${name}"\nmethod = "grid"\ncommand = ["true"]\n[parameters]\n${name} = { values = [1, 2] }\n`);
      stage.bnexp('sweep', file);
    }
    assert.equal((await stage.sync(['--entity', 'nobody'])).code, 6);
    assert.equal((await stage.sync(['two', '--retry'])).code, 0);
    const status = JSON.parse(stage.bnexp('sync', 'wandb', '--status', '--json'));
    assert.deepEqual(Object.fromEntries(status.runs.map((run) => [run.name, run.delivery])),
      { one1: 'refused', one2: 'refused', two1: 'delivered', two2: 'delivered' });
  }),

  an_unreachable_host_is_told_in_one_line: () => on({}, async (stage) => {
    stage.make('create', 1, 4, 5);
    const { code, text } = await stage.sync(['--patience', '0'], { WANDB_BASE_URL: 'http://127.0.0.1:9' });
    assert.equal(code, 1);
    assert.match(text, /^bnexp: wandb: POST http:\/\/127\.0\.0\.1:9\/graphql: .*run 'bnexp sync wandb' again\n$/m);
  }),

  bad_settings_are_named: () => on({}, async (stage) => {
    stage.make('create', 1, 4, 5);
    for (const [extra, message] of [
      [{ WANDB_MODE: 'offlin' }, /WANDB_MODE must be .*did you mean 'offline'\?/],
      [{ WANDB_BASE_URL: 'wandb.example' }, /WANDB_BASE_URL must begin with https/],
      [{ WANDB_BASE_URL: 'https://wandb.ai' }, /must be https:\/\/api\.wandb\.ai/],
      [{ WANDB_PROJECT: 'a/b' }, /project 'a\/b' may not hold '\/'/],
    ]) {
      const { code, text } = await stage.sync([], extra);
      assert.equal(code, 2, text);
      assert.match(text, message);
    }
    const disabled = await stage.sync([], { WANDB_MODE: 'disabled', WANDB_API_KEY: '' });
    assert.equal(disabled.code, 0);
    assert.equal(stage.fake.requests.length, 0);
  }),

  a_home_that_is_not_there_is_not_made: () => on({}, async (stage) => {
    const { code, text } = await stage.sync(['--home', path.join(stage.home, 'none')]);
    assert.equal(code, 3, text);
    assert.ok(!fs.existsSync(path.join(stage.home, 'none')));
  }),
});
