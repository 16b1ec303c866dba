/** Who may use what over HTTP, from where, and how much a request may say before its body. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_HEADER_BYTES, MAX_HEADER_LINES } from '../../src/protocol/limits.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { type RawRequest, request } from '../support/raw-http.ts';
import { SECRET, token } from '../support/tokens.ts';

const JSON_TYPE = 'Content-Type: application/json';
const PUBLISH: RawRequest = {
  method: 'POST',
  path: '/v1/publish',
  headers: [JSON_TYPE],
  body: '{"room":"$user:bob","data":1}',
};

let open: NodeProcess;
let tokens: NodeProcess;
let guarded: NodeProcess;

beforeAll(async () => {
  [open, tokens, guarded] = await Promise.all([
    NodeProcess.start({ env: { ROOMCAST_TRUST_PROXY: 'loopback', ROOMCAST_LOG_LEVEL: 'debug' } }),
    NodeProcess.start({ env: { ROOMCAST_AUTH_SECRET: SECRET } }),
    NodeProcess.start({
      env: { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_API_KEYS: 'a-key-of-the-tests', NODE_ENV: 'production' },
    }),
  ]);
});

afterAll(() => Promise.all([open, tokens, guarded].map((node) => node.stop())));

/** The same request with further header lines. */
function withHeaders(raw: RawRequest, ...headers: string[]): RawRequest {
  return { ...raw, headers: [...(raw.headers ?? []), ...headers] };
}

describe('the HTTP API without a key', () => {
  const ROUTES: RawRequest[] = [
    PUBLISH,
    { ...PUBLISH, path: '/v1/publish/batch', body: '{"messages":[]}' },
    { method: 'POST', path: '/v1/users/bob/disconnect' },
    ...['/v1/rooms', '/v1/nodes', '/v1/rooms/a/members', '/v1/rooms/a/history'].map((path) => ({ path })),
  ];
  const FOREIGN: [string, string[]][] = [
    ['a page of another site', ['Origin: https://evil.example']],
    ['a page on another port', ['Origin: http://localhost:3000']],
    ['a page without an origin', ['Origin: null']],
    ['a link or an image', ['Sec-Fetch-Site: cross-site']],
    ['a name that was made to lead here', ['Host: evil.example']],
    ['a proxy', ['X-Forwarded-For: 127.0.0.1']],
    ['a proxy of the standard kind', ['Forwarded: for=127.0.0.1']],
  ];

  it.each(FOREIGN)('refuses on every route what comes from %s', async (_, headers) => {
    for (const route of ROUTES) {
      const { status, body } = await request(open.url, withHeaders(route, ...headers));
      expect([route.path, status]).toEqual([route.path, 403]);
      expect(JSON.parse(body).error).toEqual({
        code: 'forbidden',
        message: expect.stringMatching(/^without an API key the HTTP API answers only local requests: /),
      });
    }
  });

  it('refuses a form or text of another site before anything is read of it', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const headers = [`Content-Type: ${type}`, 'Origin: https://evil.example'];
      expect((await request(open.url, { ...PUBLISH, headers })).status).toBe(403);
    }
  });

  it('answers this machine, by each of its names', async () => {
    const { host, port } = new URL(open.url);
    for (const name of [host, `127.0.0.1:${port}`, `[::1]:${port}`, 'localhost']) {
      expect((await request(open.url, withHeaders(PUBLISH, `Host: ${name}`))).status).toBe(200);
    }
    const page = withHeaders(PUBLISH, `Origin: http://${host}`, 'Sec-Fetch-Site: same-origin');
    expect((await request(open.url, page)).status).toBe(200);
  });

  it('is off where clients need tokens', async () => {
    for (const route of ROUTES) {
      const { status, body } = await request(tokens.url, route);
      expect([route.path, status]).toEqual([route.path, 403]);
      expect(JSON.parse(body).error.message).toBe(
        'the HTTP API is off when authentication is configured without an API key: set ROOMCAST_API_KEYS',
      );
    }
  });

  it('is open from anywhere with a key, whatever the Host and the Origin', async () => {
    const headers = ['Host: evil.example', 'Origin: https://evil.example', 'X-Forwarded-For: 192.0.2.1'];
    expect((await request(guarded.url, withHeaders(PUBLISH, ...headers))).status).toBe(401);
    const key = 'Authorization: Bearer a-key-of-the-tests';
    expect((await request(guarded.url, withHeaders(PUBLISH, ...headers, key))).status).toBe(200);
  });

  it('is told of in the log', () => {
    const mode = (node: NodeProcess) => node.log.find((record) => record.api !== undefined)?.api;
    expect([open, tokens, guarded].map(mode)).toEqual(['loopback', 'off', 'keys']);
  });
});

describe('HEAD', () => {
  it.each([
    '/healthz',
    '/readyz',
    '/metrics',
    '/',
    '/ws',
    '/v1/nodes',
    '/v1/rooms',
    '/v1/rooms/a/members',
    '/v1/rooms/a/history',
  ])('%s answers as GET does, without a body', async (path) => {
    const get = await request(open.url, { path });
    const head = await request(open.url, { method: 'HEAD', path });
    expect(head.body).toBe('');
    expect(head.status).toBe(get.status);
    expect(head.headers['content-type']).toBe(get.headers['content-type']);
    if (path !== '/metrics') expect(head.headers['content-length']).toBe(get.headers['content-length']);
    else expect(Number(head.headers['content-length'])).toBeGreaterThan(10_000);
  });

  it.each([
    ['/v1/publish', 405],
    ['/nothing', 404],
    ['/v1/rooms/%ff/history', 400],
  ])('%s has no body where it is refused with %d', async (path, status) => {
    const head = await request(open.url, { method: 'HEAD', path });
    expect(head).toMatchObject({ status, body: '' });
    expect(Number(head.headers['content-length'])).toBeGreaterThan(0);
  });

  it('is among what a path takes where GET is', async () => {
    const answer = await request(open.url, { method: 'PUT', path: '/healthz' });
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });
});

describe('a request before its body', () => {
  /** A request with headers of so many bytes in all. */
  function sized(bytes: number): RawRequest {
    const { length } = `GET /healthz HTTP/1.1\r\nHost: ${new URL(open.url).host}\r\nCookie: \r\n\r\n`;
    return {
      path: '/healthz',
      headers: [`Host: ${new URL(open.url).host}`, `Cookie: ${'x'.repeat(bytes - length)}`],
    };
  }

  it(`may have ${MAX_HEADER_BYTES} bytes`, async () => {
    expect((await request(open.url, sized(4200))).status).toBe(200);
    expect((await request(open.url, sized(MAX_HEADER_BYTES))).status).toBe(200);
    expect((await request(open.url, sized(MAX_HEADER_BYTES + 1))).status).toBe(431);
  });

  it(`may have ${MAX_HEADER_LINES} header lines`, async () => {
    const lines = (count: number) => Array.from({ length: count - 1 }, (_, i) => `X-${i}: 1`);
    expect((await request(open.url, { path: '/healthz', headers: lines(MAX_HEADER_LINES) })).status).toBe(
      200,
    );
    expect((await request(open.url, { path: '/healthz', headers: lines(MAX_HEADER_LINES + 1) })).status).toBe(
      431,
    );
  });

  it.each(['in the header', 'in the URL'])('holds a token with 100 grants %s', async (where) => {
    const rooms = Array.from({ length: 100 }, (_, i) => ({
      match: `team:${i}:*`,
      join: true,
      publish: true,
    }));
    const large = await token({ sub: 'ann', rooms });
    expect(large.length).toBeGreaterThan(5000);
    const client =
      where === 'in the URL'
        ? await TestClient.connect(`${tokens.wsUrl}?token=${large}`)
        : await TestClient.connect(tokens.wsUrl, { token: large });
    expect(await client.hello()).toMatchObject({ user: 'ann' });
    await client.close();
  });
});

describe('the address of a client behind a proxy', () => {
  it('is the right hop of all lines of X-Forwarded-For, in the log', async () => {
    // A client's own line comes first where the proxy adds a line of its own.
    const headers = { 'X-Forwarded-For': ['192.0.2.1', '198.51.100.7'] as unknown as string };
    const client = await TestClient.connect(open.wsUrl, { headers });
    client.send(Uint8Array.of(0xc1));
    expect((await client.closed).code).toBe(1007);
    const record = await open.logged(({ msg }) => msg === 'undecodable message');
    expect(record.address).toBe('198.51.100.7');
  });
});
