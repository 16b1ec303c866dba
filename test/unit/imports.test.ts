import { readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

interface Row {
  /** Folders whose files may be imported; a folder's own files always may. */
  readonly folders: readonly string[] | 'all';
  readonly packages: readonly string[];
  /** Whether `node:` modules may be used: not where the code also runs in browsers or does no I/O. */
  readonly node: boolean;
}

/** The table of DESIGN.md: one row for each folder. '' is `main.ts` and `index.ts` at the root. */
const TABLE: Readonly<Record<string, Row>> = {
  util: { folders: [], packages: [], node: false },
  protocol: { folders: ['util'], packages: ['msgpackr'], node: false },
  metrics: { folders: ['util'], packages: ['prom-client'], node: true },
  config: { folders: ['util'], packages: ['zod', 'yaml'], node: true },
  auth: { folders: ['util', 'protocol'], packages: ['jose'], node: true },
  hub: { folders: ['util'], packages: [], node: false },
  connection: { folders: ['protocol', 'auth', 'metrics', 'util'], packages: [], node: false },
  backplane: { folders: ['protocol', 'metrics', 'util'], packages: [], node: true },
  'backplane/memory': { folders: ['backplane', 'protocol', 'metrics', 'util'], packages: [], node: true },
  'backplane/redis': {
    folders: ['backplane', 'protocol', 'metrics', 'util'],
    packages: ['ioredis'],
    node: true,
  },
  // Of the backplane only the ports: neither twin.
  node: {
    folders: [
      'node/rooms',
      'node/catch-up',
      'node/membership',
      'node/delivery',
      'hub',
      'connection',
      'backplane',
      'auth',
      'protocol',
      'metrics',
      'util',
    ],
    packages: [],
    node: true,
  },
  'node/rooms': {
    folders: ['hub', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  'node/catch-up': {
    folders: ['node/rooms', 'connection', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  'node/membership': {
    folders: [
      'node/rooms',
      'node/catch-up',
      'hub',
      'connection',
      'backplane',
      'auth',
      'protocol',
      'metrics',
      'util',
    ],
    packages: [],
    node: false,
  },
  'node/delivery': {
    folders: ['node/rooms', 'node/catch-up', 'hub', 'connection', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  transport: {
    folders: ['node', 'connection', 'auth', 'protocol', 'metrics', 'util'],
    packages: ['uWebSockets.js'],
    node: true,
  },
  client: { folders: ['protocol', 'util'], packages: [], node: false },
  load: { folders: ['protocol', 'util'], packages: [], node: true },
  cli: { folders: 'all', packages: ['pino', 'pino-pretty', 'commander', 'yaml'], node: true },
  '': { folders: 'all', packages: ['pino', 'commander'], node: true },
};

/** Folders that are a row of their own although they are inside another. */
const INNER = Object.keys(TABLE).filter((folder) => folder.includes('/'));

interface Import {
  /** Path of the importing file, from `src/`. */
  readonly from: string;
  /** Path from `src/` of a file of ours, else the specifier as it stands. */
  readonly to: string;
  readonly isOurs: boolean;
  /** `import type`: gone when the code runs. */
  readonly isType: boolean;
}

describe('parsing imports', () => {
  it('finds every form and leaves comments alone', () => {
    const source = `
      import a, { b } from 'one';
      import type { C } from "./two.ts";
      import {
        d,
        type E,
      } from '../three.ts';
      export * from './four.ts';
      export { type F } from './five.ts';
      import 'six';
      const late = await import('./seven.ts');
      let g: import('./eight.ts').H;
      // import x from 'no';
      /* import y from 'no'; */
      const text = "quite from 'no'";
    `;
    const found = [
      'one',
      './two.ts',
      '../three.ts',
      './four.ts',
      './five.ts',
      'six',
      './seven.ts',
      './eight.ts',
    ];
    const specifiers = statements(source);
    expect(specifiers.map(({ specifier }) => specifier).sort()).toEqual(found.sort());
    expect(specifiers.filter(({ isType }) => isType)).toEqual([{ specifier: './two.ts', isType: true }]);
  });
});

describe('the source tree', () => {
  const files = sourceFiles();
  const imports = files.flatMap(importsOf);

  it('has a row in the table for every folder', () => {
    const folders = new Set(files.map(folderOf));
    expect([...folders].filter((folder) => !(folder in TABLE))).toEqual([]);
    expect(imports.length).toBeGreaterThan(0);
  });

  it('imports only what the table allows', () => {
    const refused = imports.filter((one) => !isAllowed(one));
    expect(refused.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('imports only files that exist', () => {
    const known = new Set(files);
    const lost = imports.filter(({ to, isOurs }) => isOurs && !known.has(to));
    expect(lost.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('imports uWebSockets.js in one file at most', () => {
    const importers = new Set(imports.filter(({ to }) => to === 'uWebSockets.js').map(({ from }) => from));
    expect([...importers].slice(1)).toEqual([]);
  });

  // Of what runs: two types may know of each other, as a connection and the context that it is given do.
  it('has no import cycles', () => {
    const edges = new Map(files.map((file) => [file, targetsOf(file, imports)]));
    expect(findCycle(edges)?.join(' -> ') ?? null).toBeNull();
  });
});

describe('the node', () => {
  it('has no import cycles, those of types included', () => {
    const files = sourceFiles().filter((file) => file.startsWith('node/'));
    const imports = files.flatMap(importsOf).filter(({ to }) => to.startsWith('node/'));
    const edges = new Map(
      files.map((file) => [file, imports.filter(({ from }) => from === file).map(({ to }) => to)]),
    );
    expect(findCycle(edges)?.join(' -> ') ?? null).toBeNull();
  });
});

describe('finding cycles', () => {
  it('names the files of a cycle in order', () => {
    const edges = { a: ['b'], b: ['c', 'd'], c: [], d: ['b'] };
    expect(findCycle(new Map(Object.entries(edges)))).toEqual(['b', 'd', 'b']);
  });

  it('finds none where two paths meet', () => {
    const edges = { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] };
    expect(findCycle(new Map(Object.entries(edges)))).toBeNull();
  });
});

function sourceFiles(): string[] {
  const entries = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  return entries.map((path) => path.replaceAll('\\', '/')).filter((path) => path.endsWith('.ts'));
}

function importsOf(file: string): Import[] {
  const path = resolve(SRC, file);
  return statements(readFileSync(path, 'utf8')).map(({ specifier, isType }) => {
    const isOurs = specifier.startsWith('.');
    const to = isOurs ? relative(SRC, resolve(dirname(path), specifier)).replaceAll('\\', '/') : specifier;
    return { from: file, to, isOurs, isType };
  });
}

/** What a source imports, dynamic imports included. */
function statements(source: string): { specifier: string; isType: boolean }[] {
  const code = source.replace(/^\s*\/\*.*?\*\//gms, '').replace(/(?<=^|\s)\/\/.*$/gm, '');
  const named = /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])(.+?)\1/gm;
  const bare = /^\s*import\s*(['"])(.+?)\1/gm;
  const dynamic = /\bimport\s*\(\s*(['"])(.+?)\1/g;
  return [named, bare, dynamic].flatMap((form) =>
    [...code.matchAll(form)].map((match) => ({
      specifier: match[2]!,
      isType: /^\s*(import|export)\s+type\b/.test(match[0]),
    })),
  );
}

/** The row that a file of ours belongs to. */
function folderOf(file: string): string {
  const inner = INNER.find((folder) => file.startsWith(`${folder}/`));
  return inner ?? (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');
}

function isAllowed({ from, to, isOurs }: Import): boolean {
  const row = TABLE[folderOf(from)];
  if (!row) return false;
  if (to.startsWith('node:')) return row.node;
  if (!isOurs) return row.packages.includes(packageName(to));
  const folder = folderOf(to);
  return folder === folderOf(from) || row.folders === 'all' || row.folders.includes(folder);
}

/** `msgpackr/pack` is of msgpackr, `@scope/name/part` of @scope/name. */
function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function targetsOf(file: string, imports: readonly Import[]): string[] {
  return imports.filter(({ from, isOurs, isType }) => isOurs && !isType && from === file).map(({ to }) => to);
}

/** The first cycle found, its first file again at the end; null where there is none. */
function findCycle(edges: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    path.push(file);
    for (const target of edges.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of edges.keys()) {
    const cycle = visit(file);
    if (cycle) return cycle;
  }
  return null;
}
