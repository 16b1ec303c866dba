import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { NO_PIPES } from '../support/pipes.ts';

let server: Server;
let url: string;
/** Requests that came. */
let asked: { method: string; path: string; key: string | undefined; body: unknown }[];
let answer: [status: number, body: object];
/** What `GET` answers. */
let listed: { revocations: object[]; count: number };

beforeAll(async () => {
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (data) => {
      text += data;
    });
    request.on('end', () => {
      const body = text === '' ? null : JSON.parse(text);
      const { method = '', url: path = '', headers } = request;
      asked.push({ method, path, key: headers.authorization, body });
      response.writeHead(answer[0]).end(JSON.stringify(method === 'GET' ? listed : answer[1]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

beforeEach(() => {
  asked = [];
  answer = [200, {}];
  listed = { revocations: [{ user: 'a b', leftMs: 5 }], count: 1 };
});

afterAll(() => void server.close());

async function roomcast(
  options: readonly string[],
  env: Record<string, string> = {},
  node: readonly string[] = ['--node', url],
) {
  const out = { stdout: '', stderr: '' };
  const exitCode = await run(['revoke', ...node, ...options], {
    env,
    terminal: false,
    stderrTerminal: false,
    pipes: NO_PIPES,
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

const KEY = { ROOMCAST_ADMIN_KEY: 'key-of-the-operator' };

it('revoke asks a node, with the key of the environment', async () => {
  const done = await roomcast(['--user', 'eve', '--for', '15m'], KEY);
  expect(done).toEqual({ exitCode: 0, stdout: 'revoked the user eve on all nodes\n', stderr: '' });
  await roomcast(['--jti', 'login-17'], KEY);
  const key = 'Bearer key-of-the-operator';
  expect(asked).toEqual([
    { method: 'POST', path: '/v1/revocations', key, body: { user: 'eve', forMs: 900_000 } },
    { method: 'POST', path: '/v1/revocations', key, body: { jti: 'login-17' } },
  ]);
});

it('revoke --issued-before signs out everywhere, as of now or of a time', async () => {
  const beforeMs = Date.now();
  await roomcast(['--user', 'ann', '--issued-before', 'now'], KEY);
  await roomcast(['--user', 'ann', '--issued-before', '2026-05-01T12:00:00Z'], KEY);
  const times = asked.map(({ body }) => (body as { issuedBefore: number }).issuedBefore);
  expect(times[0]).toBeGreaterThanOrEqual(beforeMs);
  expect(times[0]).toBeLessThanOrEqual(Date.now());
  expect(times[1]).toBe(Date.UTC(2026, 4, 1, 12));
});

it('revoke --end ends it, and says how much there was to end', async () => {
  const done = await roomcast(['--user', 'a b', '--end'], KEY);
  expect(done.stdout).toBe('ended the revocation of the user a b on all nodes\n');
  const path = '/v1/revocations?user=a+b';
  expect(asked).toMatchObject([
    { method: 'GET', path },
    { method: 'DELETE', path, body: null },
  ]);
  listed = { revocations: [{ user: 'a b' }, { user: 'a b', issuedBefore: 7 }], count: 2 };
  expect((await roomcast(['--user', 'a b', '--end'], KEY)).stdout).toBe(
    'ended 2 revocations of the user a b on all nodes\n',
  );
  // Another node may know of one.
  listed = { revocations: [], count: 0 };
  asked = [];
  expect(await roomcast(['--jti', 'x', '--end'], KEY)).toMatchObject({
    exitCode: 0,
    stdout: 'nothing was revoked of the token x, as far as this node knows\n',
  });
  expect(asked.map(({ method }) => method)).toEqual(['GET', 'DELETE']);
});

it('revoke --list prints what is revoked', async () => {
  const all = await roomcast(['--list'], KEY);
  expect(all).toEqual({ exitCode: 0, stdout: '{"user":"a b","leftMs":5}\n', stderr: '' });
  listed = { revocations: [{ jti: 'x', leftMs: 5 }], count: 1001 };
  const some = await roomcast(['--list', '--jti', 'x'], KEY);
  expect(some.stderr).toBe('1 of 1001 are listed: ask for one with --user or --jti\n');
  expect(asked.map(({ path }) => path)).toEqual(['/v1/revocations', '/v1/revocations?jti=x']);
});

it('revoke takes the nodes of ROOMCAST_URL, as clients name them, until one answers', async () => {
  const nodes = `ws://127.0.0.1:1/ws, ${url.replace('http', 'ws')}/ws`;
  expect(await roomcast(['--user', 'eve'], { ...KEY, ROOMCAST_URL: nodes }, [])).toMatchObject({
    exitCode: 0,
    stderr: '',
  });
  expect(asked).toMatchObject([{ method: 'POST', path: '/v1/revocations' }]);
  const nobody = await roomcast(['--user', 'eve'], { ROOMCAST_URL: 'ws://127.0.0.1:1' }, []);
  expect(nobody).toMatchObject({
    exitCode: 4,
    stderr: expect.stringMatching(/^cannot reach http:\/\/127\.0\.0\.1:1: /),
  });
  const wrong = await roomcast(['--user', 'eve'], { ROOMCAST_URL: 'localhost' }, []);
  expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('"localhost" is not a URL') });
  // What is named counts more.
  await roomcast(['--user', 'eve', '--node', url.replace('http', 'ws')], { ROOMCAST_URL: 'localhost' }, []);
  expect(asked).toHaveLength(2);
});

it('revoke says what the node answered, and names the variable where there is no key', async () => {
  answer = [401, { error: { code: 'unauthorized', message: 'a key is needed' } }];
  const refused = await roomcast(['--user', 'ann']);
  expect(refused).toMatchObject({ exitCode: 3, stdout: '' });
  expect(refused.stderr).toMatch(/answered 401: unauthorized: a key is needed; set ROOMCAST_ADMIN_KEY/);
});

it('revoke believes nothing that another server answers, whatever its status', async () => {
  const web = createServer((_, response) => response.end('<html></html>'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const there = ['--node', `http://127.0.0.1:${(web.address() as AddressInfo).port}`];
  for (const options of [['--user', 'eve'], ['--user', 'eve', '--end'], ['--list']]) {
    const { exitCode, stdout, stderr } = await roomcast(options, {}, there);
    expect([exitCode, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/answered 200: nothing that a node would say/);
  }
  web.close();
  listed = {} as typeof listed;
  expect(await roomcast(['--list'])).toMatchObject({ exitCode: 3, stdout: '' });
});

it('revoke says that no node is there', async () => {
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  const nobody = await roomcast(['--user', 'ann', '--node', `http://127.0.0.1:${port}`]);
  expect(nobody.exitCode).toBe(4);
  expect(nobody.stderr).toMatch(/^cannot reach http:\/\/127\.0\.0\.1:\d+: /);
});

it.each([
  [[], /name whom to revoke/],
  [['--user', 'a', '--jti', 'b'], /cannot be used with option '--jti <id>'/],
  [['--jti', 'b', '--issued-before', 'now'], /cannot be used with/],
  [['--user', 'a', '--issued-before', 'yesterday'], /It must be now, or a time/],
  [['--user', 'a', '--for', 'never'], /It must end/],
  [['--list', '--end'], /cannot be used with/],
])('revoke %j is a mistake', async (options, problem) => {
  const { exitCode, stderr } = await roomcast(options);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(problem);
  expect(asked).toEqual([]);
});
