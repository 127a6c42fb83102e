// wandb_live.mjs - `bnexp sweep --report wandb`: the sweep and its reporter side by side.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Stage, runCases } from './wandb_harness.mjs';

const TRAINER = `
i=0
while [ $i -lt 6 ]; do
  echo "{\\"step\\":$i,\\"values\\":{\\"val/loss\\":$i.5}}" >> "$BNEXP_EVENTS"
  echo "step $i"
  i=$((i+1))
done
if [ "$1" = "--x=9" ]; then while :; do sleep 0.05; done; fi
`;

/** Runs `bnexp sweep` on one external trainer for each x; resolves to {code, text}. */
function sweep(stage, xs, words, extra) {
  const script = path.join(stage.home, 'train.sh');
  const file = path.join(stage.home, 'live.toml');
  fs.writeFileSync(script, TRAINER);
  fs.writeFileSync(file, `name = "live"\nproject = "from-file"\nmethod = "grid"\nmetric = { name = "val/loss", goal = "minimize" }
[run]\ncommand = ["sh", "${script}", "\${args}"]\n[parameters]\nx = { values = [${xs}] }\n[resources]\njobs = 2\n`);
  return new Promise((resolve) => {
    execFile(process.env.BNEXP, ['sweep', file, '--home', stage.home, ...words],
      { env: stage.environment(extra) }, (error, stdout, stderr) => {
        stage.said += stdout + stderr;
        resolve({ code: error ? error.code : 0, text: stdout + stderr });
      });
  });
}

/** Waits for what comes soon, at most 20 s. */
async function soon(test) {
  for (let i = 0; i < 400 && !test(); i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(test(), `still not: ${test}`);
}

await runCases({
  the_reporter_brings_a_live_sweep_to_its_end: async () => {
    const stage = await Stage.open();
    try {
      const { code, text } = await sweep(stage, '1, 2, 3', ['--report', 'wandb']);
      assert.equal(code, 0, text);
      await soon(() => stage.fake.sweeps.size === 1 && stage.fake.runs.size === 3 &&
        [...stage.fake.runs.values()].every((run) => run.exitcode === 0));
      stage.check();
      await soon(() => [...stage.fake.sweeps.values()][0].state === 'FINISHED');
      const [page] = stage.fake.sweeps.values();
      assert.deepEqual(JSON.parse(page.config).parameters, { x: { values: [1, 2, 3] } });
      for (const run of stage.fake.runs.values()) assert.equal(run.sweep, page.name);
      assert.ok([page.projectName, ...[...stage.fake.runs.values()].map((run) => run.project)]
        .every((project) => project === 'from-file'));
    } finally {
      await stage.close();
    }
  },

  stop_at_wandb_stops_the_run: async () => {
    const stage = await Stage.open();
    try {
      stage.fake.options.stop = (run) => JSON.parse(run.config).x.value === 9;
      const { code, text } = await sweep(stage, '1, 9', ['--report', 'wandb']);
      assert.equal(code, 6, text);
      const { runs } = JSON.parse(stage.bnexp('ls', '--json'));
      assert.deepEqual(runs.map((run) => run.state).sort(), ['finished', 'killed']);
      assert.match(runs.find((run) => run.state === 'killed').reason, /asked for at wandb/);
      await soon(() => [...stage.fake.runs.values()].some((run) => run.exitcode === 255));
      stage.check();
    } finally {
      await stage.close();
    }
  },

  the_sweep_does_not_care_whether_wandb_is_there: async () => {
    const stage = await Stage.open();
    try {
      const gone = await sweep(stage, '1, 2', ['--report', 'wandb', '--json'],
        { WANDB_API_KEY: '' });
      assert.equal(gone.code, 0, gone.text);
      assert.match(gone.text, /no API key for .*'bnexp sync wandb' sends it later/);
      assert.equal((await stage.sync()).code, 0);
      stage.check();
      stage.checkEnds(0);
    } finally {
      await stage.close();
    }
  },

  an_unknown_reporter_is_named_before_anything_runs: async () => {
    const stage = await Stage.open();
    try {
      const { code, text } = await sweep(stage, '1', ['--report', 'wandbb']);
      assert.equal(code, 2);
      assert.match(text, /no reporter 'wandbb' for --report; did you mean 'wandb'\?/);
      assert.ok(!fs.existsSync(path.join(stage.home, 'bnexp.db')));
    } finally {
      await stage.close();
    }
  },
});
