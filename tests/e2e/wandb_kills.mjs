// wandb_kills.mjs - SIGKILL at every step of a delivery costs a repetition, never a line.
import assert from 'node:assert/strict';
import { Stage, runCases } from './wandb_harness.mjs';

/** Kills the reporter at its step number `at`; returns how many steps it came to. */
async function killAt(at, stage) {
  let steps = 0;
  const child = stage.start();
  stage.fake.onStep = () => {
    steps += 1;
    if (steps === at) child.kill('SIGKILL');
  };
  const end = await child.ended;
  stage.fake.onStep = () => {};
  assert.ok(end === 'SIGKILL' || end === 0, child.text);
  return steps;
}

async function finishes(stage) {
  const { code, text } = await stage.sync();
  assert.equal(code, 0, text);
  stage.check();
  stage.checkEnds(0);
}

const template = await Stage.open();
template.make('create', 1, 1100, 5);
template.make('end', 'finished', 0);

async function survivesKillAt(at) {
  const stage = await Stage.open();
  try {
    stage.copy(template);
    await killAt(at, stage);
    await finishes(stage);
    const [run] = stage.fake.runs.values();
    assert.equal(run.streams['output.log'].length, 6);
    assert.equal(stage.fake.sweeps.size, 1, 'one sweep page');
  } finally {
    await stage.close();
  }
}

const undisturbed = await Stage.open();
undisturbed.copy(template);
const steps = await killAt(0, undisturbed);
await undisturbed.close();
assert.ok(steps > 30, `only ${steps} steps`);

const cases = {};
for (let at = 1; at <= steps; at += 1) cases[`killed_at_step_${at}_of_${steps}`] = () => survivesKillAt(at);

cases.killed_again_and_again_while_runs_go_on = async () => {
  const stage = await Stage.open({ features: ['STRUCTURED_CONSOLE_LOGS'] });
  try {
    stage.make('create', 3, 40, 5);
    for (let round = 0; round < 12; round += 1) {
      await killAt(1 + ((round * 5) % 11), stage);
      stage.make('append', 7);
      if (round === 6) {
        stage.make('end', 'crashed', -1);
        await killAt(9, stage);
        stage.make('again');
      }
    }
    stage.make('end', 'finished', 0);
    await finishes(stage);
  } finally {
    await stage.close();
  }
};

await runCases(cases);
await template.close();
