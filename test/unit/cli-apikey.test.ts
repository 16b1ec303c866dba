import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { NO_PIPES } from '../support/pipes.ts';

async function roomcast(argv: readonly string[], stdin = '') {
  const out = { stdout: '', stderr: '' };
  const exitCode = await run(argv, {
    env: {},
    terminal: false,
    stderrTerminal: false,
    pipes: {
      ...NO_PIPES,
      stdin: (async function* () {
        yield Buffer.from(stdin);
      })(),
    },
    stdout: (text) => {
      out.stdout += text;
    },
    stderr: (text) => {
      out.stderr += text;
    },
    serve: async () => undefined,
  });
  return { exitCode, ...out };
}

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');

it('apikey create makes another key each time, and the entry that nodes take', async () => {
  const argv = 'apikey create --name billing --scope publish --scope read --room invoice:* --room news'.split(
    ' ',
  );
  const [one, other] = [await roomcast(argv), await roomcast(argv)];
  expect(one).toMatchObject({ exitCode: 0, stderr: '' });
  expect(one.stdout).not.toBe(other.stdout);
  const { key, apiKeys } = parse(one.stdout);
  expect(key).toMatch(/^rck_[\w-]{43}$/);
  expect(apiKeys).toEqual([
    { name: 'billing', sha256: sha256(key), scopes: ['publish', 'read'], rooms: ['invoice:*', 'news'] },
  ]);
  expect(loadConfig({ settings: { apiKeys }, env: {} })).toMatchObject({ config: { apiKeys } });
});

it('apikey create gives the least right unless told otherwise, and JSON to programs', async () => {
  const { stdout } = await roomcast(['apikey', 'create', '--name', 'k', '--json']);
  const { key, apiKeys } = JSON.parse(stdout);
  expect(apiKeys).toEqual([{ name: 'k', sha256: sha256(key), scopes: ['publish'] }]);
});

it.each([
  [['--name', 'two words'], /name: expected a name of 1 to 64 letters/],
  [['--name', 'k', '--scope', 'write'], /It must be one of publish, read, admin/],
  [['--name', 'k', '--room', ''], /rooms\[0\]: expected a pattern/],
  [[], /required option '--name <name>'/],
])('apikey create %j is refused', async (options, problem) => {
  const { exitCode, stdout, stderr } = await roomcast(['apikey', 'create', ...options]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toMatch(problem);
});

it('apikey hash reads a key from standard input, and shows none', async () => {
  const key = 'a-key-of-the-tests';
  expect(await roomcast(['apikey', 'hash'], `${key}\n`)).toEqual({
    exitCode: 0,
    stdout: `${sha256(key)}\n`,
    stderr: '',
  });
  const short = await roomcast(['apikey', 'hash'], 'tiny-key\n');
  expect(short).toMatchObject({ exitCode: 1, stdout: '' });
  expect(short.stderr).toMatch(/at least 16 characters, got 8/);
  expect(short.stderr).not.toContain('tiny-key');
});
