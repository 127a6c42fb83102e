// wandb_artifacts.mjs - `bnexp sync wandb --artifacts`: the newest checkpoint of a finished run, once.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Stage, runCases } from './wandb_harness.mjs';

const NEWEST = 'step-000000000500.safetensors';
const content = crypto.createHash('sha512').update('weights').digest().toString('hex').repeat(5000);

/** Two checkpoints and the name of the best one, as a trainer leaves them. */
function keepCheckpoints(stage, run) {
  const folder = path.join(stage.home, 'lr', run, 'checkpoint');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'step-000000000050.safetensors'), 'older');
  fs.writeFileSync(path.join(folder, NEWEST), content);
  fs.writeFileSync(path.join(folder, 'best.safetensors'), 'older');
}

async function on(test, options = {}) {
  const stage = await Stage.open(options);
  try {
    stage.make('create', 1, 20, 5);
    keepCheckpoints(stage, 'ternary-s0');
    await test(stage);
  } finally {
    await stage.close();
  }
}

function checkArtifact(stage) {
  stage.check();
  stage.checkEnds(0);
  const [artifact, ...more] = stage.fake.artifacts.committed();
  assert.ok(artifact, 'there is an artifact');
  assert.equal(more.length, 0, 'and no other');
  const [run] = stage.fake.runs.values();
  assert.equal(artifact.run, `team/bnexp/${run.name}`);
  assert.equal(artifact.type, 'model');
  assert.equal(artifact.collection, `checkpoint-${run.name}`);
  assert.deepEqual({ ...artifact.aliases[0] }, { alias: 'latest', artifactCollectionName: artifact.collection });
  assert.deepEqual(Object.keys(artifact.files).sort(), [NEWEST, 'wandb_manifest.json']);
  assert.equal(artifact.files[NEWEST].toString(), content);
  const manifest = JSON.parse(artifact.files['wandb_manifest.json']);
  assert.equal(manifest.contents[NEWEST].birthArtifactID, artifact.id);
}

async function delivers(stage, ...words) {
  const { code, text } = await stage.sync(['--artifacts', ...words]);
  assert.equal(code, 0, text);
}

const cases = {
  the_newest_checkpoint_goes_along_once: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    await delivers(stage);
    checkArtifact(stage);
    const before = stage.fake.requests.length;
    await delivers(stage);
    assert.equal(stage.fake.requests.length, before);
  }),

  a_run_that_went_there_without_it_gets_it_later: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    assert.equal((await stage.sync()).code, 0);
    assert.equal(stage.fake.artifacts.all.size, 0);
    await delivers(stage);
    checkArtifact(stage);
  }),

  a_run_that_goes_on_sends_its_next_one: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    await delivers(stage);
    stage.make('again');
    await delivers(stage);
    fs.writeFileSync(path.join(stage.home, 'lr/ternary-s0/checkpoint/step-000000000900.safetensors'), 'more');
    stage.make('end', 'finished', 0);
    await delivers(stage);
    stage.check();
    const names = stage.fake.artifacts.committed().map(({ files }) => Object.keys(files)[0]);
    assert.deepEqual(names, [NEWEST, 'step-000000000900.safetensors']);
  }),

  only_finished_runs_with_a_checkpoint_send_one: () => on(async (stage) => {
    stage.make('end', 'failed', 3);
    await delivers(stage);
    fs.rmSync(path.join(stage.home, 'lr/ternary-s0/checkpoint'), { recursive: true });
    stage.make('again');
    stage.make('end', 'finished', 0);
    await delivers(stage);
    assert.equal(stage.fake.artifacts.all.size, 0);
    stage.check();
    stage.checkEnds(0);
  }),

  an_artifact_that_is_refused_does_not_keep_the_run_open: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    stage.fake.faults.push({ on: 'artifact', times: 1, code: 413 });
    const { code, text } = await stage.sync(['--artifacts']);
    assert.equal(code, 6, text);
    assert.match(text, /checkpoint: the request is larger .*HTTP 413/);
    stage.checkEnds(0);
    await delivers(stage, '--retry');
    checkArtifact(stage);
  }),

  other_places_take_no_artifacts: () => on(async (stage) => {
    assert.throws(() => stage.bnexp('sync', 'tensorboard', '--out', `${stage.home}/out`, '--artifacts'),
      ({ status, stderr }) => status === 2 && /--artifacts goes with wandb only, not with tensorboard/.test(stderr));
  }),

  an_expired_address_is_asked_for_again: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    stage.fake.faults.push({ on: 'artifact-put', times: 1, code: 403 });
    await delivers(stage);
    checkArtifact(stage);
  }),

  killed_at_every_step_it_ends_complete: () => on(async (stage) => {
    stage.make('end', 'finished', 0);
    await stage.sync();
    let steps = 0;
    for (let at = 1; ; at += 1) {
      const child = stage.start(['--artifacts']);
      steps = 0;
      stage.fake.onStep = () => {
        steps += 1;
        if (steps === at) child.kill('SIGKILL');
      };
      if (await child.ended === 0) break;
    }
    stage.fake.onStep = () => {};
    // Greeting and ending aside, seven requests of three moments each, unless all is there before.
    assert.ok(steps >= 3, `${steps} steps`);
    await delivers(stage);
    checkArtifact(stage);
  }),
};

const FAULTS = {
  reset: { kind: 'reset' },
  lost_after_applying: { kind: 'lost' },
  429: { code: 429 },
  503: { code: 503 },
  cut_short: { kind: 'cut' },
};
for (const place of ['artifact', 'manifest', 'artifact-files', 'artifact-put', 'commit']) {
  for (const [name, fault] of Object.entries(FAULTS)) {
    cases[`${name}_at_${place}`] = () => on(async (stage) => {
      stage.make('end', 'finished', 0);
      stage.fake.faults.push({ on: place, times: 2, ...fault });
      await delivers(stage);
      // What was committed before its answer was lost is found there by the next try.
      const applied = place === 'commit' && ['lost', 'cut'].includes(fault.kind);
      assert.ok(stage.fake.faults[0].times <= (applied ? 1 : 0), 'the fault has struck');
      checkArtifact(stage);
    });
  }
}

await runCases(cases, 8);
