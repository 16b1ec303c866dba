import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import { ROUTES } from '../../src/auth/permissions-table.ts';
import { scopeOf } from '../../src/auth/server-key.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ANSWER_HEADERS } from '../../src/transport/http/security-headers.ts';
import { silentLog } from '../../src/util/log.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');
const KEYS = {
  full: 'a-key-that-may-do-everything',
  publish: 'a-key-that-publishes',
  read: 'a-key-that-reads',
  admin: 'a-key-that-administers',
  chat: 'a-key-of-the-chat-rooms',
} as const;
const HASHED = (['publish', 'read', 'admin'] as const).map((scope) => ({
  name: scope,
  sha256: sha256(KEYS[scope]),
  scopes: [scope],
}));
const CHAT = { name: 'chat', key: KEYS.chat, scopes: ['publish', 'read', 'admin'], rooms: ['chat:*'] };

function config(settings: object): Config {
  const shared = { host: '127.0.0.1', port: 0, production: true };
  const loaded = loadConfig({ settings: { ...shared, ...settings }, env: {} });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

let node: RunningNode;
beforeAll(async () => {
  node = await startNode(config({ apiKeys: [KEYS.full, ...HASHED, CHAT] }), silentLog);
});
afterAll(() => node.stop());

async function ask(method: string, path: string, key: string | null, body?: unknown) {
  const answer = await fetch(node.url + path, {
    method,
    headers: key === null ? {} : { Authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as { error?: { message: string } } };
}

const pathOf = (template: string, room: string) => template.replace(':room', room).replace(':user', 'ann');
/** Enough for every route that takes a body. */
const bodyFor = (room: string) => ({ room, user: 'ann', data: 1, messages: [{ room, data: 1 }] });
const send = (method: string, path: string, key: string | null, room: string) =>
  ask(method, pathOf(path, room), key, method === 'POST' ? bodyFor(room) : undefined);

describe('a key of the HTTP API', () => {
  it('opens the routes of its scopes, whether it is kept as text or as a hash, and no other', async () => {
    for (const [method, path, action] of ROUTES) {
      for (const name of ['full', 'publish', 'read', 'admin'] as const) {
        const { status, body } = await send(method, path, KEYS[name], 'chat:1');
        const isMine = name === 'full' || scopeOf(action) === name;
        // In a batch each message has its own result.
        const results = (body as { results?: { error?: { code: string } }[] }).results;
        const refused = results === undefined ? status === 403 : results[0]!.error?.code === 'forbidden';
        expect({ method, path, name, refused }).toEqual({ method, path, name, refused: !isMine });
        expect(status, `${method} ${path}`).not.toBe(401);
      }
      expect((await send(method, path, null, 'chat:1')).status).toBe(401);
      expect((await send(method, path, 'a-key-that-nobody-has', 'chat:1')).status).toBe(401);
      // A hash is not the key.
      expect((await send(method, path, sha256(KEYS[scopeOf(action)]), 'chat:1')).status).toBe(401);
    }
  });

  it('opens its rooms only, and nothing that concerns more than those', async () => {
    for (const [method, path, action] of ROUTES) {
      if (path === '/v1/publish/batch' || path === '/v1/rooms/:room/acks') continue;
      const ofRoom = path.includes(':room') || action === 'publish';
      expect((await send(method, path, KEYS.chat, 'chat:1')).status, `${method} ${path}`).toBe(
        ofRoom ? 200 : 403,
      );
      expect((await send(method, path, KEYS.chat, 'news')).status, `${method} ${path}`).toBe(403);
    }
    const messages = [
      { room: 'chat:1', data: 1 },
      { room: 'news', data: 2 },
      { room: 'chat:2', data: 3 },
    ];
    expect(await ask('POST', '/v1/publish/batch', KEYS.chat, { messages })).toMatchObject({
      status: 200,
      body: {
        results: [
          { offset: expect.any(Number) },
          { error: { code: 'forbidden', message: expect.stringContaining('"chat:*"') } },
          { offset: 1 },
        ],
      },
    });
  });

  it('is not fooled by an encoded or an odd room', async () => {
    for (const room of ['chat%3A1', 'chat:%2e%2e']) {
      expect((await ask('GET', `/v1/rooms/${room}/history`, KEYS.chat)).status).toBe(200);
    }
    for (const room of ['xchat:1', 'CHAT:1', '$user:ann', '%24user%3Aann']) {
      expect((await ask('GET', `/v1/rooms/${room}/history`, KEYS.chat)).status).toBe(403);
    }
    for (const room of ['%ff', 'chat:%00']) {
      expect((await ask('GET', `/v1/rooms/${room}/history`, KEYS.chat)).status).toBe(400);
    }
  });

  it('is replaced while the node runs: the new one counts at once, and the old one no longer', async () => {
    const rotating = await startNode(
      config({ apiKeys: [KEYS.full], metrics: { key: KEYS.read } }),
      silentLog,
    );
    const status = async (path: string, key: string) =>
      (await fetch(rotating.url + path, { headers: { Authorization: `Bearer ${key}` } })).status;
    const both = config({ apiKeys: [KEYS.full, ...HASHED], metrics: { key: KEYS.admin } });
    expect(rotating.reload(both)).toBe(true);
    expect(await status('/v1/nodes', KEYS.full)).toBe(200);
    expect(await status('/v1/nodes', KEYS.read)).toBe(200);
    expect([await status('/metrics', KEYS.read), await status('/metrics', KEYS.admin)]).toEqual([401, 200]);
    expect(rotating.reload(config({ apiKeys: HASHED }))).toBe(true);
    expect(await status('/v1/nodes', KEYS.full)).toBe(401);
    expect(await status('/v1/nodes', KEYS.read)).toBe(200);
    expect(await status('/metrics', '')).toBe(200);
    // Without any key the API is closed in production, never open.
    expect(rotating.reload(config({ apiKeys: [] }))).toBe(true);
    expect(await status('/v1/nodes', KEYS.read)).toBe(403);
    expect(rotating.reload(config({ apiKeys: [KEYS.full], host: '127.0.0.2' }))).toBe(false);
    expect(await status('/v1/nodes', KEYS.full)).toBe(200);
    await rotating.stop();
  });
});

const lowerCased = (headers: object) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

/** The headers of the answer to an upgrade that asks for a subprotocol which does not exist. */
async function refusedUpgrade(url: string): Promise<IncomingHttpHeaders> {
  const headers = {
    ...{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
    ...{ 'Sec-WebSocket-Key': 'x3JJHMbDL1EzLkh9GBhXDw==', 'Sec-WebSocket-Protocol': 'nonsense' },
  };
  const [answer] = await once(get(`${url}/ws`, { headers }), 'response');
  expect(answer.statusCode).toBe(400);
  answer.resume();
  return answer.headers;
}

describe('the headers of answers', () => {
  const isPage = (path: string) => /^\/$|\.(js|css)$/.test(path);

  it('keep browsers from doing anything else with them, whatever is answered', async () => {
    const demo = await startNode(config({ demo: true, apiKeys: [KEYS.full] }), silentLog);
    const requests: readonly (readonly [path: string, init: RequestInit, status: number])[] = [
      ...['/', '/chat.js', '/chat.css', '/healthz', '/readyz', '/metrics'].map(
        (path) => [path, {}, 200] as const,
      ),
      ['/healthz', { method: 'HEAD' }, 200],
      ['/v1/nodes', { headers: { Authorization: `Bearer ${KEYS.full}` } }, 200],
      ['/v1/nodes', {}, 401],
      ['/v1/nodes', { method: 'POST' }, 405],
      ['/nowhere', {}, 404],
      ['/ws', {}, 426],
      ['/v1/rooms/a/events', { headers: { Accept: 'text/event-stream' } }, 200],
      ['/v1/rooms/a/messages', { method: 'POST', body: '1', headers: { 'Content-Type': 'image/png' } }, 415],
    ];
    for (const [path, init, status] of requests) {
      const { body, headers, status: got } = await fetch(demo.url + path, init);
      expect({ path, got }).toEqual({ path, got: status });
      for (const [name, value] of Object.entries(ANSWER_HEADERS)) {
        const given = headers.get(name);
        expect(given, `${path} ${name}`).not.toBeNull();
        if (!isPage(path) && name !== 'Cache-Control') expect(given, `${path} ${name}`).toBe(value);
      }
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
      expect(headers.get('Content-Security-Policy')).not.toMatch(/unsafe|\*/);
      expect(headers.get('Strict-Transport-Security')).toBeNull();
      // Nor what serves it.
      expect([headers.get('Server'), headers.get('uWebSockets')]).toEqual([null, null]);
      await body?.cancel();
    }
    expect(await refusedUpgrade(demo.url)).toMatchObject(lowerCased(ANSWER_HEADERS));
    await demo.stop();
  });
});
