// fake_mlflow.mjs - an MLflow tracking server for tests: REST API 2.0 as far as we speak it, its
// documented limits, and faults on demand.
import http from 'node:http';
import path from 'node:path';

const KEY_PATTERN = /^[\w\-. /:]{1,250}$/;

/** A name that is a path to somewhere else: MLflow's file store would mix it up. */
function isOtherPath(key) {
  const plain = path.posix.normalize(key).replace(/(.)\/$/, '$1');
  return plain !== key || plain === '.' || plain.startsWith('..') || plain.startsWith('/');
}

export class FakeMlflow {
  constructor(options = {}) {
    this.options = options; // authorization: the header that must come
    this.experiments = [];
    this.runs = [];
    this.violations = [];
    this.faults = []; // {on: 'runs/create', kind: 'lost' | 503, times}
  }

  async start() {
    this.server = http.createServer((request, reply) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => this.serve(request, Buffer.concat(chunks), reply));
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  serve(request, body, reply) {
    const path = request.url.replace('/api/2.0/mlflow/', '');
    const fault = this.faults.find((f) => f.on === path && f.times > 0);
    if (fault) fault.times -= 1;
    if (typeof fault?.kind === 'number') return this.send(reply, fault.kind, {});
    let code = 200;
    let answer;
    try {
      if (this.options.authorization && request.headers.authorization !== this.options.authorization) {
        return this.send(reply, 401, { message: 'no' });
      }
      if (body.length > 1e6) throw this.refusal('INVALID_PARAMETER_VALUE', 'request too large');
      answer = this.answer(path, JSON.parse(body.toString()));
    } catch (error) {
      if (!error.error_code) this.violations.push(`${path}: ${error.message}`);
      code = error.error_code === 'RESOURCE_DOES_NOT_EXIST' ? 404 : 400;
      answer = { error_code: error.error_code ?? 'INTERNAL', message: error.message };
    }
    if (fault?.kind === 'lost') return request.socket.destroy();
    return this.send(reply, code, answer);
  }

  send(reply, code, answer) {
    reply.writeHead(code, { 'Content-Type': 'application/json' });
    reply.end(JSON.stringify(answer));
  }

  refusal(error_code, message) {
    return Object.assign(new Error(message), { error_code });
  }

  run(id) {
    const run = this.runs.find((r) => r.info.run_id === id);
    if (!run) throw this.refusal('RESOURCE_DOES_NOT_EXIST', `no run ${id}`);
    return run;
  }

  answer(path, body) {
    switch (path) {
      case 'experiments/search': {
        const name = /^name = '(.*)'$/.exec(body.filter)[1];
        return { experiments: this.experiments.filter((e) => e.name === name) };
      }
      case 'experiments/create': {
        if (this.experiments.some((e) => e.name === body.name)) {
          throw this.refusal('RESOURCE_ALREADY_EXISTS', `experiment ${body.name} exists`);
        }
        this.experiments.push({ experiment_id: String(this.experiments.length + 1), name: body.name });
        return { experiment_id: this.experiments.at(-1).experiment_id };
      }
      case 'runs/search': {
        const [, tag, value] = /^tags\.`(.*)` = '(.*)'$/.exec(body.filter);
        return { runs: this.runs.filter((r) => r.tags[tag] === value && body.experiment_ids.includes(r.info.experiment_id)) };
      }
      case 'runs/create': {
        const run = {
          info: { run_id: `r${this.runs.length}`.padEnd(32, '0'), experiment_id: body.experiment_id, run_name: body.run_name, start_time: body.start_time, status: 'RUNNING' },
          tags: Object.fromEntries(body.tags.map(({ key, value }) => [key, value])), params: {}, metrics: new Map(),
        };
        this.runs.push(run);
        return { run };
      }
      case 'runs/update': {
        const run = this.run(body.run_id);
        if (!['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'].includes(body.status)) this.violations.push(`status ${body.status}`);
        Object.assign(run.info, { status: body.status, end_time: body.end_time });
        return { run_info: run.info };
      }
      case 'runs/log-batch':
        return this.log(this.run(body.run_id), body);
      default:
        throw new Error('no such request');
    }
  }

  log(run, { metrics = [], params = [] }) {
    if (metrics.length > 1000 || params.length > 100) this.violations.push('a batch over its limits');
    for (const { key, value } of params) {
      if (key in run.params && run.params[key] !== value) throw this.refusal('INVALID_PARAMETER_VALUE', `${key} is changed`);
      if (typeof value !== 'string' || value.length > 500) this.violations.push(`parameter ${key}`);
      run.params[key] = value;
    }
    for (const { key, value, timestamp, step } of metrics) {
      if (isOtherPath(key)) throw this.refusal('INVALID_PARAMETER_VALUE', `Invalid metric name: '${key}'`);
      if (!KEY_PATTERN.test(key) || !Number.isInteger(timestamp) || !Number.isInteger(step)) this.violations.push(`metric ${key}`);
      const number = typeof value === 'number' ? value : Number(value);
      // One point, however often it is said: MLflow's primary key.
      run.metrics.set(`${key}|${step}|${timestamp}|${number}`, { key, step, value: number });
    }
    return {};
  }
}
