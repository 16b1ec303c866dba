import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const options = await extractOptions(join(ROOT, '.dependency-cruiser.mjs'));

async function cruised(baseDir: string, folders = ['src']): Promise<ICruiseResult> {
  const { output } = await cruise(folders, { ...options, baseDir }, options.enhancedResolveOptions);
  return output as ICruiseResult;
}

function violations({ summary }: ICruiseResult): string[] {
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} imports ${to}`).sort();
}

describe('the source tree', async () => {
  const result = await cruised(ROOT, ['src', 'bench', 'test']);

  it('imports only what the rules allow', () => {
    expect(result.modules.length).toBeGreaterThan(300);
    expect(violations(result)).toEqual([]);
  });
});

describe('the rules', () => {
  const tree = mkdtempSync(join(tmpdir(), 'roomcast-imports-'));
  afterAll(() => rmSync(tree, { recursive: true }));
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), text);
  };

  it.each([
    ['hub-folders', 'hub/a.ts', '../node/b.ts'],
    ['node-folders', 'node/a.ts', '../backplane/redis/b.ts'],
    ['backplane-redis-folders', 'backplane/redis/a.ts', '../memory/b.ts'],
    ['backplane-redis-publish-folders', 'backplane/redis/publish/a.ts', '../presence/b.ts'],
    ['app-folders', 'app/a.ts', '../cli/b.ts'],
    ['testing-folders', 'testing/a.ts', '../cli/b.ts'],
    ['hub-packages', 'hub/a.ts', 'zod'],
    ['protocol-node', 'protocol/a.ts', 'node:fs'],
    ['folder-without-a-row', 'cellar/a.ts', '../util/b.ts'],
    ['one-file-for-uwebsockets', 'transport/a.ts', 'uWebSockets.js'],
    ['not-found', 'hub/a.ts', './gone.ts'],
  ])('%s: %s may not import %s', async (rule, file, specifier) => {
    rmSync(tree, { recursive: true });
    for (const name of ['zod', 'uWebSockets.js']) {
      write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }));
      write(`node_modules/${name}/index.js`, '');
    }
    write('package.json', JSON.stringify({ dependencies: { zod: '1', 'uWebSockets.js': '1' } }));
    const folders = [
      'util',
      'node',
      'cli',
      'backplane/redis',
      'backplane/redis/presence',
      'backplane/memory',
    ];
    for (const folder of folders) {
      write(`src/${folder}/b.ts`, 'export type B = number;');
    }
    write(`src/${file}`, `import type { B } from '${specifier}';\nexport type A = B;`);
    expect(violations(await cruised(tree))).toEqual([
      expect.stringContaining(`${rule}: src/${file} imports`),
    ]);
  });

  it('testing-without-addon: what tests import may not reach the transport by way of another folder', async () => {
    rmSync(tree, { recursive: true });
    write('src/testing/a.ts', "import type { B } from '../node/b.ts';\nexport type A = B;");
    write('src/node/b.ts', "import type { C } from '../transport/c.ts';\nexport type B = C;");
    write('src/transport/c.ts', 'export type C = number;');
    expect(violations(await cruised(tree))).toEqual([
      'node-folders: src/node/b.ts imports src/transport/c.ts',
      'testing-without-addon: src/testing/a.ts imports src/transport/c.ts',
    ]);
  });

  it('no-circle: two files may not import each other, for a type neither', async () => {
    rmSync(tree, { recursive: true });
    write('src/hub/a.ts', "import type { B } from './b.ts';\nexport type A = B;");
    write('src/hub/b.ts', "import { type A } from './a.ts';\nexport type B = A;");
    expect(violations(await cruised(tree))).toEqual(['no-circle: src/hub/a.ts imports src/hub/b.ts']);
  });
});
