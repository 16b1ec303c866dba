import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const options = await extractOptions(join(ROOT, '.dependency-cruiser.mjs'));

async function cruised(baseDir: string): Promise<ICruiseResult> {
  const { output } = await cruise(['src'], { ...options, baseDir }, options.enhancedResolveOptions);
  return output as ICruiseResult;
}

function violations({ summary }: ICruiseResult): string[] {
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} imports ${to}`).sort();
}

describe('the source tree', async () => {
  const result = await cruised(ROOT);

  it('imports only what the rules allow', () => {
    expect(result.modules.length).toBeGreaterThan(100);
    expect(violations(result)).toEqual([]);
  });

  // `biome` writes `import type` wherever only types are imported: what remains without it is there when the code runs.
  it('keeps a list of circles between types: it only shrinks, and none of them is there when the code runs', () => {
    const rule = options.ruleSet?.forbidden?.find(({ name }) => name === 'no-circle');
    const listed = (rule!.from as { pathNot: string[] }).pathNot.map((path) => new RegExp(path));
    const inCircles = result.modules.filter(({ dependencies }) => dependencies.some((one) => one.circular));
    const files = inCircles.map(({ source }) => source);
    const over = listed.filter((pattern) => !files.some((file) => pattern.test(file)));
    expect(over.map(String), 'no longer in a circle: take them out of TYPE_CIRCLES').toEqual([]);
    const edges = inCircles.map(({ source, dependencies }) => {
      const targets = dependencies.filter(({ module }) => isThereAtRunTime(source, module));
      return [source, targets.map(({ resolved }) => resolved)] as const;
    });
    expect(findCircle(new Map(edges))).toBeNull();
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
    for (const folder of ['util', 'node', 'backplane/redis', 'backplane/memory']) {
      write(`src/${folder}/b.ts`, 'export type B = number;');
    }
    write(`src/${file}`, `import type { B } from '${specifier}';\nexport type A = B;`);
    expect(violations(await cruised(tree))).toEqual([
      expect.stringContaining(`${rule}: src/${file} imports`),
    ]);
  });

  it('no-circle: two files may not import each other, for a type neither', async () => {
    rmSync(tree, { recursive: true });
    write('src/hub/a.ts', "import type { B } from './b.ts';\nexport type A = B;");
    write('src/hub/b.ts', "import { type A } from './a.ts';\nexport type B = A;");
    expect(violations(await cruised(tree))).toEqual(['no-circle: src/hub/a.ts imports src/hub/b.ts']);
  });
});

describe('finding circles', () => {
  it('names the files of a circle in order', () => {
    const edges = { a: ['b'], b: ['c', 'd'], c: [], d: ['b'] };
    expect(findCircle(new Map(Object.entries(edges)))).toEqual(['b', 'd', 'b']);
  });

  it('finds none where two paths meet', () => {
    const edges = { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] };
    expect(findCircle(new Map(Object.entries(edges)))).toBeNull();
  });
});

/** Whether one of a file's imports and exports of a module is more than a type. */
function isThereAtRunTime(file: string, module: string): boolean {
  const statements = readFileSync(join(ROOT, file), 'utf8').match(
    /^(import|export)\b[^;]*?\bfrom '[^']+'/gms,
  );
  const found = (statements ?? []).filter((statement) => statement.endsWith(`'${module}'`));
  return found.length === 0 || found.some((statement) => !/^(import|export) type\b/.test(statement));
}

/** The first circle found, its first file again at the end; null where there is none. */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    path.push(file);
    for (const target of edges.get(file) ?? []) {
      const circle = visit(target);
      if (circle) return circle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of edges.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return null;
}
