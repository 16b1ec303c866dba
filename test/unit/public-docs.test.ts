/** What applications import is explained where it is declared: `npm run docs:api` makes the API reference of it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../support/snippets.ts';

const { entryPoints } = JSON.parse(readFileSync(join(ROOT, 'typedoc.json'), 'utf8')) as {
  entryPoints: string[];
};

interface Exported {
  readonly name: string;
  readonly file: string;
}

const DECLARATION = '^export (?:abstract )?(?:async )?(?:interface|type|class|function|const)';

/** Everything that a file exports, with the file that declares it. */
function exportsOf(file: string): Exported[] {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const from = (path: string) => join(dirname(file), path);
  const named = [...source.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)'/gm)].flatMap(
    ([, list, path]) =>
      list!
        .split(',')
        .map(
          (one) =>
            one
              .trim()
              .replace(/^type /, '')
              .split(' as ')[0]!,
        )
        .filter((name) => name !== '')
        .map((name) => ({ name, file: from(path!) })),
  );
  const all = [...source.matchAll(/^export \* from '([^']+)'/gm)].flatMap(([, path]) =>
    exportsOf(from(path!)),
  );
  const own = [...source.matchAll(new RegExp(`${DECLARATION} (\\w+)`, 'gm'))].map(([, name]) => ({
    name: name!,
    file,
  }));
  return [...named, ...all, ...own];
}

/** The lines before its declaration end a docstring, or those of its fields say what it is. */
function isExplained({ name, file }: Exported): boolean {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const at = source.search(new RegExp(`${DECLARATION} ${name}\\b`, 'm'));
  if (at === -1) throw new Error(`${file} declares no ${name}`);
  const before = source.slice(0, at).replace(/\/\/ biome-ignore.*\n$/, '');
  if (before.endsWith('*/\n')) return true;
  const body = source.slice(at).split('\n}\n')[0]!;
  return source.startsWith('export interface', at) && body.includes('/**');
}

/** Of what their names and the fields of the protocol say already, and of types that only name others. */
const PLAIN = [
  ...[
    'PublishResult',
    'HistoryResult',
    'MembersResult',
    'RoomcastError',
    'RoomcastClient',
    'WebSocketConstructor',
  ],
  ...[
    'ClientState',
    'ClientStatus',
    'TransportName',
    'ClientStorage',
    'GetToken',
    'QueueLimits',
    'HistoryRead',
  ],
];

describe.each(entryPoints)('%s', (entry) => {
  const exported = exportsOf(entry);

  it('explains what it exports', () => {
    expect(exported.length).toBeGreaterThan(3);
    const silent = exported.filter((one) => !isExplained(one) && !PLAIN.includes(one.name));
    expect(silent.map(({ name, file }) => `${file}: ${name}`)).toEqual([]);
  });
});

it('finds what is not explained', () => {
  expect(isExplained({ name: 'newest', file: 'src/client/react/message-list.ts' })).toBe(false);
  expect(isExplained({ name: 'useStatus', file: 'src/client/react/provider.ts' })).toBe(true);
});
