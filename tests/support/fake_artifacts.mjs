// fake_artifacts.mjs - the artifacts of the fake wandb server: made, filled, sealed, and only then
// there for good.
import crypto from 'node:crypto';

const md5 = (data, form) => crypto.createHash('md5').update(data).digest(form);

export class FakeArtifacts {
  /** server: the FakeWandb that it is a part of; Refusal: its class of refusals. */
  constructor(server, Refusal) {
    this.server = server;
    this.Refusal = Refusal;
    this.all = new Map(); // id -> artifact
  }

  committed() {
    return [...this.all.values()].filter((artifact) => artifact.state === 'COMMITTED');
  }

  /** What GraphQL calls. */
  roots() {
    return {
      createArtifact: ({ input }) => this.create(input),
      createArtifactManifest: ({ input }) => this.manifest(input),
      createArtifactFiles: ({ input }) => this.files(input),
      commitArtifact: ({ input }) => this.commit(input),
    };
  }

  executeByName(operation, v) {
    const field = operation[0].toLowerCase() + operation.slice(1);
    return { [field]: this.roots()[field]({ input: v }) };
  }

  find(id) {
    const artifact = this.all.get(id);
    if (!artifact) throw new this.Refusal(404, `no artifact ${id}`);
    return artifact;
  }

  create(input) {
    const run = `${input.entityName}/${input.projectName}/${input.runName}`;
    if (!this.server.runs.has(run)) throw new this.Refusal(404, 'run not found');
    if (!/^[0-9a-f]{32}$/.test(input.digest)) this.server.violate(`artifact digest '${input.digest}'`);
    if (input.clientID?.length !== 128) this.server.violate(`artifact client id '${input.clientID}'`);
    const same = this.committed().find((artifact) => artifact.run === run && artifact.digest === input.digest);
    if (same) return { artifact: same, artifactActions: [] };
    const artifact = {
      id: `QXJ0:${this.all.size}`, run, state: 'PENDING', digest: input.digest, type: input.artifactTypeName,
      collection: input.artifactCollectionName, aliases: input.aliases, files: {}, sums: {},
    };
    this.all.set(artifact.id, artifact);
    return { artifact, artifactActions: [] };
  }

  address(artifact, name) {
    return {
      uploadUrl: `${this.server.url}/artifacts/${encodeURIComponent(artifact.id)}/${name}?signature=s1gned`,
      uploadHeaders: ['X-Upload: yes'],
    };
  }

  manifest(input) {
    const artifact = this.find(input.artifactID);
    if (input.digest) artifact.sums[input.name] = input.digest;
    artifact.manifestId = `TWFu:${artifact.id}`;
    const file = { id: 'f', name: input.name, ...this.address(artifact, input.name) };
    return { artifactManifest: { id: artifact.manifestId, file } };
  }

  files({ artifactFiles, storageLayout }) {
    if (storageLayout !== 'V2') this.server.violate(`storage layout ${storageLayout}`);
    const edges = artifactFiles.map(({ artifactID, artifactManifestID, name, md5: sum }) => {
      const artifact = this.find(artifactID);
      if (artifactManifestID !== artifact.manifestId) this.server.violate(`${name}: of no manifest`);
      artifact.sums[name] = sum;
      return { node: { id: 'f', name, ...this.address(artifact, name) } };
    });
    return { files: { edges } };
  }

  store(id, name, raw) {
    const artifact = this.find(id);
    if (artifact.state === 'COMMITTED') this.server.violate(`${name}: sent to an artifact that is closed`);
    if (md5(raw, 'base64') !== artifact.sums[name]) this.server.violate(`${name}: other bytes than announced`);
    artifact.files[name] = raw;
  }

  commit({ artifactID }) {
    const artifact = this.find(artifactID);
    const { 'wandb_manifest.json': sealed, ...files } = artifact.files;
    if (!sealed) this.server.violate('an artifact without its manifest is committed');
    const manifest = JSON.parse(sealed ?? '{"contents":{}}');
    const sums = Object.entries(manifest.contents).sort().map(([name, { digest, size }]) => {
      if (files[name]?.length !== size || digest !== md5(files[name], 'base64')) {
        this.server.violate(`${name}: the manifest says otherwise`);
      }
      return `${name}:${digest}\n`;
    });
    if (md5(`wandb-artifact-manifest-v1\n${sums.join('')}`, 'hex') !== artifact.digest) {
      this.server.violate('the digest is not that of the contents');
    }
    artifact.state = 'COMMITTED';
    return { artifact };
  }
}
