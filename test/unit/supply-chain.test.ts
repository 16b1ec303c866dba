import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const VERIFY = join(ROOT, '.ci/verify-native.mjs');
const REPACK = {
  name: 'uws-pack',
  version: '20.0.8',
  integrity:
    'sha512-EziGwZOMH8Y09erf/DHBgaGoTgt+XgqLFoyQfRiDrWHDCZ+jZ5aEBW7fSIcD5LzxDimHK2NxJpmlwSIfJiAZkg==',
};

interface Locked {
  readonly name?: string;
  readonly version?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const locked = Object.entries(
  (JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }).packages,
).filter(([path]) => path.includes('node_modules/'));

describe('the lock file', () => {
  it('has a SHA-512 for every package, which npm compares with what it downloads', () => {
    const without = locked.filter(
      ([, { link, integrity }]) => !link && !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''),
    );
    expect(without.map(([path]) => path)).toEqual([]);
    expect(locked.length).toBeGreaterThan(100);
  });

  it('takes nothing from elsewhere than the registry', () => {
    const foreign = locked.filter(
      ([, { link, resolved }]) =>
        !link && resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/'),
    );
    expect(foreign).toEqual([]);
  });

  it('pins the repack of uWebSockets.js', () => {
    expect(Object.fromEntries(locked)['node_modules/uWebSockets.js']).toMatchObject(REPACK);
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    expect(dependencies['uWebSockets.js']).toBe(`npm:${REPACK.name}@${REPACK.version}`);
  });

  it('lets one dependency of a node run a script when it is installed, and a node can do without it', () => {
    const scripts = locked.filter(([, { dev, hasInstallScript }]) => !dev && hasInstallScript);
    expect(scripts.map(([path]) => path)).toEqual(['node_modules/msgpackr-extract']);
    // The image is built without scripts.
    expect(read('deploy/Dockerfile')).toMatch(/npm ci --omit=dev --ignore-scripts/);
  });

  it('names each dependency of a node in one version, not a range', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    for (const version of Object.values(dependencies))
      expect(version).toMatch(/^(npm:uws-pack@)?\d+\.\d+\.\d+$/);
  });
});

describe('the check of the native addon', () => {
  let folder: string;
  const installed = () => join(folder, 'uWebSockets.js');
  const verify = () => spawnSync(process.execPath, [VERIFY, folder], { encoding: 'utf8' });

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'roomcast-native-'));
    // As in an image: the build for this machine alone.
    const own = `_${process.platform}_${process.arch}_${process.versions.modules}.node`;
    cpSync(join(ROOT, 'node_modules/uWebSockets.js'), installed(), {
      recursive: true,
      filter: (path) => !path.endsWith('.node') || path.endsWith(own),
    });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('passes for what is installed here, with all of its builds', () => {
    expect(execFileSync(process.execPath, [VERIFY], { cwd: ROOT, encoding: 'utf8' })).toMatch(
      /uws-pack 20\.0\.8 is what this repository pins/,
    );
    expect(readdirSync(join(ROOT, 'node_modules/uWebSockets.js/dist/bin'))).toHaveLength(24);
    expect(read('.ci/native-builds.sha256').trim().split('\n')).toHaveLength(24 + 2);
  });

  it('passes for the build of one machine, and fails for one byte more or one file more', () => {
    expect(verify()).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(installed(), 'dist/extra.mjs'), '');
    expect(verify()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('dist/extra.mjs is not in'),
    });
    rmSync(join(installed(), 'dist/extra.mjs'));
    const build = readdirSync(join(installed(), 'dist/bin'))[0]!;
    appendFileSync(join(installed(), 'dist/bin', build), 'x');
    expect(verify()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(`${build} has the SHA-256 [0-9a-f]{64}, not`),
    });
    rmSync(join(installed(), 'dist/bin', build));
    expect(verify()).toMatchObject({ status: 1, stderr: expect.stringContaining(`${build} is missing`) });
  });

  it('runs at each install and in the build of the image', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(scripts.prepare).toBe('node .ci/verify-native.mjs');
    expect(read('deploy/Dockerfile')).toContain('RUN node .ci/verify-native.mjs');
  });
});

it('the bill of materials has every dependency of a node with its hash', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const text = execFileSync('sh', ['-c', scripts.sbom!], { cwd: ROOT, encoding: 'utf8' });
  const { components } = JSON.parse(text) as {
    components: { name: string; version: string; hashes?: { alg: string; content: string }[] }[];
  };
  const hash = Buffer.from(REPACK.integrity.slice('sha512-'.length), 'base64').toString('hex');
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  // `--omit dev` would leave out what is also a dependency of a tool, such as ws.
  for (const [name, wanted] of Object.entries(dependencies)) {
    const version = wanted.split('@').at(-1);
    const found = components.find((one) => one.name === name && one.version === version);
    expect(found?.hashes?.[0]?.alg, name).toBe('SHA-512');
  }
  expect(components.find(({ name }) => name === 'uWebSockets.js')?.hashes?.[0]?.content).toBe(hash);
});

it('every action of the workflows is pinned by commit, with its version beside it', () => {
  const used = readdirSync(join(ROOT, '.github/workflows')).flatMap((file) =>
    [...read(`.github/workflows/${file}`).matchAll(/uses: (.+)$/gm)].map(([, action]) => action!),
  );
  expect(used.length).toBeGreaterThan(0);
  for (const action of used) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
});
