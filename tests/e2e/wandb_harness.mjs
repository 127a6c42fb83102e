// wandb_harness.mjs - what the wandb tests share: a home, a fake server, the program, the verdict.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { FakeWandb, parseLine } from '../support/fake_wandb.mjs';

export const KEY = 'f00dcafe'.repeat(5);
const { BNEXP, LIVE_HOME, GRAPHQL_FOLDER, WANDB_SCHEMA } = process.env;

export class Stage {
  /** A fake server and an empty home. options go to the server. */
  static async open(options = {}) {
    const stage = new Stage();
    stage.home = fs.mkdtempSync(path.join(os.tmpdir(), 'bnexp-wandb-'));
    stage.fake = await new FakeWandb({
      key: KEY, modules: GRAPHQL_FOLDER, schemaFolder: WANDB_SCHEMA, ...options,
    }).start();
    stage.said = '';
    return stage;
  }

  async close() {
    await this.fake.stop();
    fs.rmSync(this.home, { recursive: true, force: true });
  }

  /** The same home many times over: made once, then copied. */
  copy(template) {
    fs.cpSync(template.home, this.home, { recursive: true });
  }

  make(...words) {
    execFileSync(LIVE_HOME, [this.home, ...words.map(String)], { stdio: 'inherit' });
  }

  environment(extra) {
    return {
      PATH: process.env.PATH, HOME: this.home, no_proxy: '127.0.0.1', WANDB_API_KEY: KEY,
      WANDB_BASE_URL: this.fake.url, ...extra,
    };
  }

  /** Starts `bnexp sync wandb ...`; `ended` resolves to its exit code or signal. */
  start(words = [], extra = {}) {
    const args = ['sync', 'wandb', '--home', this.home, '--wait', '0.02', '--timeout', '20', ...words];
    const child = spawn(BNEXP, args, { env: this.environment(extra) });
    child.text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        child.text += data;
        this.said += data;
      });
    }
    child.ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
    return child;
  }

  async sync(words, extra) {
    const child = this.start(words, extra);
    return { code: await child.ended, text: child.text };
  }

  bnexp(...words) {
    return execFileSync(BNEXP, [...words, '--home', this.home], { encoding: 'utf8', maxBuffer: 1 << 28 });
  }

  /** What the store holds, as the server should: run key -> [{_step, ...values}]. */
  expected() {
    const runs = new Map();
    for (const line of this.bnexp('export', '--format', 'jsonl').trim().split('\n')) {
      if (!line) continue;
      const { run, step, wall_s, values } = JSON.parse(line);
      if (!runs.has(run)) runs.set(run, []);
      runs.get(run).push({ _step: step, _timestamp: wall_s, ...values });
    }
    return runs;
  }

  /** The server holds what the store holds, line for line, and nobody did what must not be done. */
  check() {
    assert.deepEqual(this.fake.violations, []);
    for (const [key, records] of this.expected()) {
      const run = this.fake.run(key);
      assert.ok(run, `run ${key} is not at the server`);
      const lines = (run.streams['wandb-history.jsonl'] ?? []).map(parseLine);
      assert.equal(lines.length, records.length, `history lines of ${key}`);
      lines.forEach(({ _runtime, ...line }, i) => {
        assert.ok(_runtime >= 0);
        assert.deepEqual(line, records[i], `line ${i} of ${key}`);
      });
    }
    this.checkSecrets();
  }

  /** The key stands nowhere: not in what was printed, not in any file of the home. */
  checkSecrets() {
    const token = Buffer.from(`api:${KEY}`).toString('base64');
    const texts = [this.said];
    for (const entry of fs.readdirSync(this.home, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath ?? entry.path, entry.name);
      if (entry.isFile()) texts.push(fs.readFileSync(file, 'latin1'));
    }
    for (const text of texts) assert.ok(!text.includes(KEY) && !text.includes(token), 'the key leaked');
  }

  /** Every run has come to its end there. */
  checkEnds(exitcode) {
    for (const run of this.fake.runs.values()) assert.equal(run.exitcode, exitcode, `end of ${run.name}`);
  }
}

/** Runs the named cases, a few at a time: each has a stage of its own and mostly waits. */
export async function runCases(cases, atATime = 4) {
  const only = process.argv[2] ?? '';
  const waiting = Object.entries(cases).filter(([name]) => name.includes(only));
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, test] = next;
      try {
        await test();
        console.log(`ok   ${name}`);
      } catch (error) {
        process.exitCode = 1;
        console.log(`FAIL ${name}\n${error.stack}`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}
