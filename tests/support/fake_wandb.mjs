// fake_wandb.mjs - a wandb server for tests: keeps what it is told, refuses what the real one
// refuses, and writes down everything that a client must not do.
//
// With npm's `graphql` and wandb's public schema at hand every operation is validated and executed
// against that schema; without them operations are known by their names alone.
import fs from 'node:fs';
import http from 'node:http';
import zlib from 'node:zlib';
import { createRequire } from 'node:module';
import { FakeArtifacts } from './fake_artifacts.mjs';

const BODY_MAX = 10 * 1024 * 1024;
const LINE_MAX = 10383360;
// What faults and steps call the operations.
const OPERATIONS = {
  UpsertBucket: 'upsert', CreateRunFiles: 'files', UpsertSweep: 'sweep', CreateArtifact: 'artifact',
  CreateArtifactManifest: 'manifest', CreateArtifactFiles: 'artifact-files', CommitArtifact: 'commit',
};

/** Parses wandb's extended JSON: NaN and infinities as bare words become strings. */
export function parseLine(text) {
  const strict = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) =>
    token[0] === '"' ? token : `"${token}"`);
  return JSON.parse(strict);
}

function loadGraphql(modules, schemaFolder) {
  if (!modules || !fs.existsSync(`${schemaFolder}/schema.graphql`)) return null;
  const graphql = createRequire(`${modules}/`)('graphql');
  const sdl = ['schema.graphql', 'features-ext.graphql']
    .map((name) => `${schemaFolder}/${name}`)
    .filter((path) => fs.existsSync(path))
    .map((path) => fs.readFileSync(path, 'utf8'));
  return { ...graphql, schema: graphql.buildSchema(sdl.join('\n')) };
}

class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class FakeWandb {
  /**
   * options: key, entities (known ones), features (names), modules (folder of node_modules),
   * schemaFolder, adopt (project name -> the server's name for it), ownStorage (upload addresses
   * are paths of this server)
   */
  constructor(options) {
    this.options = { entities: ['team'], features: [], adopt: (name) => name, ...options };
    this.graphql = loadGraphql(this.options.modules, this.options.schemaFolder);
    this.runs = new Map(); // "entity/project/run" -> run
    this.sweeps = new Map(); // name -> sweep
    this.artifacts = new FakeArtifacts(this, Refusal);
    this.violations = [];
    this.requests = []; // {what, code}
    this.faults = []; // {on, kind, times}
    this.onStep = () => {}; // (moment, what): a test's chance to kill the client
    this.sockets = new Set();
    this.taken = 0;
  }

  async start() {
    this.server = http.createServer((request, reply) => this.serve(request, reply));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    await this.listen(0);
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  listen(port) {
    return new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  violate(text) {
    this.violations.push(text);
  }

  run(key) {
    return [...this.runs.values()].find((run) => run.name === key);
  }

  // ---- one request

  async serve(request, reply) {
    const chunks = [];
    let fault = null;
    try {
      for await (const chunk of request) {
        chunks.push(chunk);
        if (!fault) fault = this.earlyFault(request);
        if (fault) return request.socket.resetAndDestroy();
      }
    } catch {
      return undefined; // the client is gone, as a killed one is
    }
    const raw = Buffer.concat(chunks);
    const what = this.classify(request, raw);
    this.onStep('before', what);
    fault = this.takeFault(what);
    // A window of `quota` requests; what is beyond it is turned away until the next one opens.
    if (this.options.quota && this.taken++ >= this.options.quota) {
      setTimeout(() => { this.taken = 0; }, 50);
      fault = { code: 429 };
    }
    if (fault?.kind === 'refused') return this.refuse(request);
    if (fault?.code) {
      this.requests.push({ what, code: fault.code });
      // Some servers repeat in their answer what they were sent.
      const echo = fault.echo ? ` ${this.options.key} ${request.headers.authorization}` : '';
      return this.send(reply, fault.code, { error: `no ${fault.code}${echo}` }, fault.headers);
    }
    const [code, answer] = this.answer(request, raw);
    this.requests.push({ what, code });
    this.onStep('applied', what);
    if (fault) return this.spoil(fault.kind, request, reply, code, answer);
    this.send(reply, code, answer);
    return this.onStep('after', what);
  }

  /** What a request is about: the words that faults and steps go by. */
  classify(request, raw) {
    if (request.method === 'PUT') return request.url.startsWith('/artifacts/') ? 'artifact-put' : 'put';
    const text = this.inflate(request, raw).toString();
    if (request.url === '/graphql') {
      const name = /"operationName":"(\w*)"/.exec(text)?.[1];
      return OPERATIONS[name] ?? 'query';
    }
    if (/"complete":true/.test(text)) return 'complete';
    if (/"wandb-history.jsonl"/.test(text)) return 'history';
    return /"output.log"/.test(text) ? 'log' : 'beat';
  }

  inflate(request, raw) {
    if (request.headers['content-encoding'] !== 'gzip') return raw;
    if (!this.options.features.includes('FILESTREAM_GZIP')) this.violate('gzip without being offered');
    return zlib.gunzipSync(raw);
  }

  answer(request, raw) {
    try {
      if (request.method === 'PUT') return [200, this.store(request, raw)];
      this.checkHead(request, raw);
      const body = JSON.parse(this.inflate(request, raw).toString());
      if (request.url === '/graphql') return [200, this.execute(body)];
      return [200, this.stream(request.url, body)];
    } catch (error) {
      if (error instanceof Refusal) {
        return [error.code, { errors: [{ message: error.message }], error: error.message }];
      }
      this.violate(`${request.method} ${request.url}: ${error.message}`);
      return [400, { error: error.message }];
    }
  }

  checkHead(request, raw) {
    const expected = `Basic ${Buffer.from(`api:${this.options.key}`).toString('base64')}`;
    if (request.headers.authorization !== expected) throw new Refusal(401, 'invalid API key');
    if (request.headers['content-type'] !== 'application/json') {
      this.violate(`content type ${request.headers['content-type']}`);
    }
    if (raw.length > BODY_MAX) throw new Refusal(413, 'request too large');
  }

  send(reply, code, answer, headers = {}) {
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
    reply.writeHead(code, { 'Content-Type': 'application/json', ...this.options.headers, ...headers });
    reply.end(text);
  }

  // ---- faults

  takeFault(what) {
    const fault = this.faults.find((f) => f.on === what && f.times > 0 && f.kind !== 'reset');
    if (fault) fault.times -= 1;
    return fault ?? null;
  }

  /** A reset strikes while the body is still coming, so only the address can tell what it is. */
  earlyFault(request) {
    const kinds = { '/graphql': [...Object.values(OPERATIONS), 'query'] }[request.url] ??
      (request.method === 'PUT' ? [this.classify(request)] : ['history', 'complete', 'log', 'beat']);
    const fault = this.faults.find((f) => f.kind === 'reset' && f.times > 0 && kinds.includes(f.on));
    if (fault) fault.times -= 1;
    return fault;
  }

  /** Nobody listens for a while. */
  refuse(request) {
    request.socket.destroy();
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    setTimeout(() => this.listen(this.port), 120);
  }

  /** The request was served, but its answer does not arrive whole. */
  spoil(kind, request, reply, code, answer) {
    const text = JSON.stringify(answer);
    const socket = request.socket;
    const head = `HTTP/1.1 ${code} OK\r\nContent-Type: application/json\r\nContent-Length: `;
    switch (kind) {
      case 'silent': // never answers: the client's patience decides
        return undefined;
      case 'lost':
        return socket.destroy();
      case 'cut':
        return socket.end(`${head}${text.length + 10}\r\n\r\n${text.slice(0, text.length / 2)}`);
      case 'nojson':
        return this.send(reply, 200, '<html>busy</html>');
      case 'drip': {
        socket.write(`${head}${text.length + 500}\r\n\r\n`);
        const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write(' ')), 50);
        return undefined;
      }
      default:
        throw new Error(`no such fault: ${kind}`);
    }
  }

  // ---- GraphQL

  execute(body) {
    const roots = {
      viewer: () => ({ id: 'VXNlcjox', entity: this.options.entities[0], username: 'tester' }),
      serverInfo: () => (this.options.old ? this.unknown('features') : {
        features: this.options.features.map((name) => ({ name, isEnabled: true })),
      }),
      upsertBucket: ({ input }) => this.upsertBucket(input),
      createRunFiles: ({ input }) => this.createRunFiles(input),
      upsertSweep: ({ input }) => this.upsertSweep(input),
      project: ({ name, entityName }) => this.project(name, entityName),
      ...this.artifacts.roots(),
    };
    if (!this.graphql) return { data: this.executeByName(body, roots) };
    const { parse, validate, executeSync, schema } = this.graphql;
    const document = parse(body.query);
    const errors = validate(schema, document);
    if (errors.length > 0) {
      this.violate(`${body.operationName}: ${errors[0].message}`);
      throw new Refusal(400, errors[0].message);
    }
    const result = executeSync({
      schema, document, rootValue: roots, variableValues: body.variables, operationName: body.operationName,
    });
    const cause = result.errors?.[0]?.originalError;
    if (cause instanceof Refusal) throw cause;
    if (result.errors) {
      this.violate(`${body.operationName}: ${result.errors[0].message}`);
      throw new Refusal(400, result.errors[0].message);
    }
    return result;
  }

  executeByName({ operationName, variables: v }, roots) {
    switch (operationName) {
      case 'Viewer':
        return { viewer: roots.viewer() };
      case 'ServerFeaturesQuery':
        return { serverInfo: roots.serverInfo() };
      case 'UpsertBucket': {
        const input = { ...v, modelName: v.project, entityName: v.entity, jobProgram: v.program, jobRepo: v.repo };
        return { upsertBucket: roots.upsertBucket({ input }) };
      }
      case 'CreateRunFiles': {
        const input = { entityName: v.entity, projectName: v.project, runName: v.run, files: v.files };
        return { createRunFiles: roots.createRunFiles({ input }) };
      }
      case 'UpsertSweep':
        return { upsertSweep: roots.upsertSweep({ input: v }) };
      case 'ProjectSweeps':
        return { project: roots.project({ name: v.project, entityName: v.entity }) };
      default:
        if (/Artifact/.test(operationName)) return this.artifacts.executeByName(operationName, v);
        throw new Refusal(400, `unknown operation ${operationName}`);
    }
  }

  entityOf(name) {
    const entity = name ?? this.options.entities[0];
    if (!this.options.entities.includes(entity)) throw new Refusal(404, `entity ${entity} not found`);
    return entity;
  }

  upsertBucket(input) {
    const entity = this.entityOf(input.entityName);
    const project = this.options.adopt(input.modelName ?? 'uncategorized');
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(input.name ?? '')) this.violate(`run id '${input.name}'`);
    if (/[/\\#?%:]/.test(project) || project.length > 128) throw new Refusal(400, 'invalid project name');
    for (const tag of input.tags ?? []) {
      if (tag.length < 1 || tag.length > 64) this.violate(`tag '${tag}'`);
    }
    if (input.config !== null && input.config !== undefined) this.checkConfig(input.config);
    if (input.sweep && !this.sweeps.has(input.sweep)) throw new Refusal(404, `sweep ${input.sweep} not found`);
    const id = `${entity}/${project}/${input.name}`;
    if (input.id && input.id !== Buffer.from(id).toString('base64')) throw new Refusal(404, 'no run of this id');
    const inserted = !this.runs.has(id);
    const run = this.runs.get(id) ?? {
      name: input.name, entity, project, streams: {}, steps: -1, uploaded: [], files: {}, exitcode: null,
      completions: 0, upserts: 0, beats: 0,
    };
    this.runs.set(id, run);
    run.upserts += 1;
    for (const [key, value] of Object.entries(input)) {
      if (value !== null && value !== undefined && !['name', 'modelName', 'entityName'].includes(key)) {
        run[key] = value;
      }
    }
    return {
      inserted,
      bucket: {
        id: Buffer.from(id).toString('base64'), name: run.name, displayName: run.displayName,
        sweepName: run.sweep ?? null, config: run.config, description: null,
        historyLineCount: run.streams['wandb-history.jsonl']?.length ?? 0,
        project: { id: 'p', name: project, entity: { id: 'e', name: entity } },
      },
    };
  }

  checkConfig(text) {
    if (text.length > 10e6) throw new Refusal(413, 'config too large');
    const config = parseLine(text);
    for (const [key, item] of Object.entries(config)) {
      if (typeof item !== 'object' || !('value' in item)) this.violate(`config.${key} has no value`);
    }
    if (typeof config._wandb?.value?.t !== 'object') this.violate('config has no _wandb.t');
    const metrics = config._wandb?.value?.m ?? [];
    for (const metric of metrics) {
      if (metric['5'] !== undefined && !metrics[metric['5'] - 1]) this.violate(`metric ${metric['1']}: no such axis`);
    }
  }

  /** What a server of before 2024 says of a newer field. */
  unknown(field) {
    throw new Refusal(400, `Cannot query field "${field}"`);
  }

  createRunFiles(input) {
    if (this.options.old) this.unknown('createRunFiles');
    const run = this.runs.get(`${this.entityOf(input.entityName)}/${input.projectName}/${input.runName}`);
    if (!run) throw new Refusal(404, 'run not found');
    return {
      runID: 'r',
      uploadHeaders: ['X-Upload: yes'],
      files: input.files.map((name) => ({
        name,
        uploadUrl: `${this.options.ownStorage ? '' : this.url}/storage/${[run.entity, run.project, run.name, name].map(encodeURIComponent).join('/')}` +
          '?signature=s1gned',
      })),
    };
  }

  upsertSweep(input) {
    const known = [...this.sweeps.values()].find((sweep) => sweep.id === input.id);
    if (input.id && !known) throw new Refusal(404, 'sweep not found');
    const sweep = known ?? { id: `U3dlZXA6${this.sweeps.size}`, name: `sweep${this.sweeps.size}` };
    for (const [key, value] of Object.entries(input)) {
      if (value !== null && value !== undefined) sweep[key] = value;
    }
    sweep.state ??= 'PENDING';
    this.sweeps.set(sweep.name, sweep);
    return { sweep, configValidationWarnings: [] };
  }

  project(name, entityName) {
    const mine = [...this.sweeps.values()].filter((sweep) => sweep.projectName === name);
    return { name, entityName, sweeps: { edges: mine.map((node) => ({ node })) } };
  }

  // ---- streams and files

  stream(url, body) {
    const match = /^\/files\/([^/]+)\/([^/]+)\/([^/]+)\/file_stream$/.exec(url);
    if (!match) throw new Refusal(404, 'no such page');
    const run = this.runs.get(match.slice(1).map(decodeURIComponent).join('/'));
    if (!run) throw new Refusal(404, 'run not found');
    for (const [name, chunk] of Object.entries(body.files ?? {})) this.append(run, name, chunk);
    for (const name of body.uploaded ?? []) {
      if (!(name in run.files)) this.violate(`${run.name}: '${name}' is called uploaded and is not there`);
      run.uploaded.push(name);
    }
    if (!body.files && !body.complete) run.beats += 1;
    run.exitcode = null;
    run.preempting = body.preempting ?? false;
    if (body.complete) {
      if (!Number.isInteger(body.exitcode)) this.violate(`${run.name}: complete without an exit code`);
      run.exitcode = body.exitcode;
      run.completions += 1;
    }
    return { exitcode: null, limits: {}, stopped: this.options.stop?.(run) ?? false };
  }

  append(run, name, { offset, content }) {
    const lines = (run.streams[name] ??= []);
    const once = name !== 'wandb-summary.json';
    if (once && offset > lines.length) {
      this.violate(`${run.name}/${name}: a gap before line ${offset}, it has ${lines.length}`);
    }
    content.forEach((line, i) => {
      const place = offset + i;
      if (line.length > LINE_MAX) throw new Refusal(413, 'line too long');
      if (once && place < lines.length) {
        if (lines[place] !== line) this.violate(`${run.name}/${name}: line ${place} is rewritten`);
        run.repeated = (run.repeated ?? 0) + 1;
        return;
      }
      lines[place] = line;
      if (name === 'wandb-history.jsonl') this.checkHistory(run, line, place);
      if (name === 'wandb-events.jsonl') this.checkEvent(run, line, place);
      if (name === 'wandb-summary.json') this.checkSummary(run, line);
    });
  }

  checkHistory(run, line, place) {
    const values = parseLine(line);
    for (const key of ['_step', '_runtime', '_timestamp']) {
      if (typeof values[key] !== 'number') this.violate(`${run.name}: history line ${place} has no ${key}`);
    }
    if (!Number.isInteger(values._step) || values._step <= run.steps) {
      this.violate(`${run.name}: _step ${values._step} after ${run.steps} in line ${place}`);
    }
    run.steps = values._step;
  }

  checkEvent(run, line, place) {
    const values = parseLine(line);
    const odd = Object.keys(values).filter((key) => !key.startsWith('_') && !key.startsWith('system.'));
    if (values._wandb !== true || typeof values._timestamp !== 'number' || odd.length > 0) {
      this.violate(`${run.name}: event line ${place}: ${line.slice(0, 80)}`);
    }
  }

  checkSummary(run, line) {
    if (!Number.isInteger(parseLine(line)._wandb?.runtime)) this.violate(`${run.name}: summary without runtime`);
  }

  store(request, raw) {
    const url = new URL(request.url, this.url);
    const match = /^\/storage\/([^/]+\/[^/]+\/[^/]+)\/(.+)$/.exec(url.pathname) ??
      /^\/artifacts\/([^/]+)\/(.+)$/.exec(url.pathname);
    if (!match || url.searchParams.get('signature') !== 's1gned') throw new Refusal(403, 'bad signature');
    if (request.headers.authorization) this.violate('the key was sent to an upload address');
    if (request.headers['x-upload'] !== 'yes') this.violate('an upload header is missing');
    if (request.headers['content-length'] === undefined) this.violate('an upload without its length');
    if (request.headers['content-type'] !== undefined) this.violate('an upload with a content type nobody asked for');
    if (url.pathname.startsWith('/artifacts/')) {
      this.artifacts.store(...match.slice(1).map(decodeURIComponent), raw);
      return '';
    }
    const run = this.runs.get(decodeURIComponent(match[1]));
    if (!run) throw new Refusal(404, 'run not found');
    run.files[decodeURIComponent(match[2])] = raw.toString();
    return '';
  }
}
