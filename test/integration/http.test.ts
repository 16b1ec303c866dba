import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packValue, unpackValue } from '../../src/protocol/msgpack/values.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';

let open: NodeProcess;
let guarded: NodeProcess;
let production: NodeProcess;

beforeAll(async () => {
  [open, guarded, production] = await Promise.all([
    NodeProcess.start(),
    NodeProcess.start({ flags: ['--api-key', 'first-key-of-two', '--api-key', 'second-key-of-two'] }),
    NodeProcess.start({ env: { NODE_ENV: 'production' } }),
  ]);
});

afterAll(async () => {
  await Promise.all([open, guarded, production].map((node) => node.stop()));
});

async function post(node: NodeProcess, path: string, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(`${node.url}${path}`, {
    method: 'POST',
    body: text,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
  return { status: answer.status, body: await answer.json() };
}

describe('the HTTP API', () => {
  it('publishes, deduplicates by key, and serves the history', async () => {
    const message = { room: 'http:a', data: { n: 1 }, key: 'k' };
    const first = await post(open, '/v1/publish', message);
    expect(first).toEqual({ status: 200, body: { epoch: expect.any(String), offset: 1 } });
    const second = await post(open, '/v1/publish', message);
    expect(second.body).toEqual({ epoch: first.body.epoch, offset: 1, duplicate: true });
    const history = await (await fetch(`${open.url}/v1/rooms/http%3Aa/history?limit=10`)).json();
    expect(history).toEqual({
      epoch: first.body.epoch,
      offset: 1,
      messages: [['message', 'http:a', 1, expect.any(Number), null, { n: 1 }]],
    });
  });

  it('sends signals, alone and in a batch, in their place among the messages', async () => {
    const client = await TestClient.connect(open.wsUrl, { encoding: 'json' });
    await client.ok('join', 'http:s');
    const alone = await post(open, '/v1/publish', { room: 'http:s', data: 's', ephemeral: true });
    expect(alone).toEqual({ status: 200, body: { epoch: '', offset: 0 } });
    const messages = [
      { room: 'http:s', data: 1 },
      { room: 'http:s', data: 't', ephemeral: true },
      { room: 'http:s', data: 'u', ephemeral: true, key: 'k' },
      { room: 'http:s', data: 'v', ephemeral: 'yes' },
      { room: 'http:s', data: 2, ephemeral: false },
    ];
    const { body } = await post(open, '/v1/publish/batch', { messages });
    expect(body.results).toEqual([
      { epoch: expect.any(String), offset: 1 },
      { epoch: '', offset: 0 },
      {
        error: {
          code: 'bad_request',
          message: expect.stringContaining('messages[2]: an ephemeral message takes no key'),
        },
      },
      { error: { code: 'bad_request', message: 'messages[3]: ephemeral must be a boolean' } },
      { epoch: expect.any(String), offset: 2 },
    ]);
    const packed = await fetch(`${open.url}/v1/publish`, {
      method: 'POST',
      body: Buffer.from(packValue({ room: 'http:s', data: 'w', ephemeral: true })),
      headers: { 'Content-Type': 'application/msgpack', Accept: 'application/json' },
    });
    expect(await packed.json()).toEqual({ epoch: '', offset: 0 });
    await client.next((frame) => frame[0] === 'signal' && frame[4] === 'w');
    const told = client.frames.flatMap((frame): unknown[] => {
      if (frame[0] === 'signal') return [[frame[3], frame[4]]];
      return frame[0] === 'message' ? [frame[2]] : [];
    });
    expect(told).toEqual([[null, 's'], 1, [null, 't'], 2, [null, 'w']]);
    client.socket.terminate();
  });

  it('conflates by the keys of the server API', async () => {
    const messages = [
      { room: 'http:k', data: 1, conflateKey: 'price' },
      { room: 'http:k', data: 2, conflateKey: 'price' },
      { room: 'http:k', data: 3, conflateKey: 'price', ephemeral: true },
      { room: 'http:k', data: 4, conflateKey: '' },
      { room: 'http:k', data: 5, conflateKey: 1 },
    ];
    const { body } = await post(open, '/v1/publish/batch', { messages });
    const refused = (message: string) => ({ error: { code: 'bad_request', message } });
    expect(body.results).toEqual([
      { epoch: expect.any(String), offset: 1 },
      { epoch: expect.any(String), offset: 2 },
      refused(
        'messages[2]: an ephemeral message takes no conflateKey: members that are behind do not get it',
      ),
      refused('messages[3]: conflateKey must be 1 to 64 bytes, got 0'),
      refused('messages[4]: conflateKey must be a string'),
    ]);
    const packed = await fetch(`${open.url}/v1/publish`, {
      method: 'POST',
      body: Buffer.from(packValue({ room: 'http:k', data: 6, conflateKey: 'price' })),
      headers: { 'Content-Type': 'application/msgpack', Accept: 'application/json' },
    });
    expect(await packed.json()).toMatchObject({ offset: 3 });
    const client = await TestClient.connect(open.wsUrl, { encoding: 'json' });
    expect(await client.ok('join', 'http:k', { last: 2 })).toMatchObject({ offset: 3, from: 0 });
    await client.next((frame) => frame[0] === 'message' && frame[5] === 6);
    expect(client.frames.filter(([type]) => type === 'message' || type === 'gap')).toEqual([
      ['gap', 'http:k', 1, 2, 'replaced'],
      ['message', 'http:k', 3, expect.any(Number), null, 6],
    ]);
    client.socket.terminate();
  });

  it('publishes a batch in order and says what failed in its place', async () => {
    const large = 'x'.repeat(70_000);
    const messages = [1, large, 3].map((data) => ({ room: 'http:b', data }));
    const { status, body } = await post(open, '/v1/publish/batch', { messages });
    expect(status).toBe(200);
    expect(body.results).toEqual([
      { epoch: expect.any(String), offset: 1 },
      { error: { code: 'payload_too_large', message: expect.any(String) } },
      { epoch: expect.any(String), offset: 2 },
    ]);
  });

  it('speaks MessagePack where it is asked to', async () => {
    const answer = await fetch(`${open.url}/v1/publish`, {
      method: 'POST',
      body: packValue({ room: 'http:c', data: new Uint8Array([1, 2, 3]) }) as BodyInit,
      headers: { 'Content-Type': 'application/msgpack' },
    });
    expect(answer.headers.get('content-type')).toBe('application/msgpack');
    expect(unpackValue(new Uint8Array(await answer.arrayBuffer()))).toMatchObject({ offset: 1 });
  });

  it.each([
    ['not JSON', '/v1/publish', '{', 400, 'bad_request'],
    ['a body that is no object', '/v1/publish', '[]', 400, 'bad_request'],
    ['a missing room', '/v1/publish', { data: 1 }, 400, 'bad_request'],
    ['a bad room', '/v1/publish', { room: 'a*', data: 1 }, 400, 'bad_room'],
    ['missing data', '/v1/publish', { room: 'a' }, 400, 'bad_request'],
    ['a bad key', '/v1/publish', { room: 'a', data: 1, key: 'x'.repeat(65) }, 400, 'bad_request'],
    ['a batch that is no list', '/v1/publish/batch', { messages: 1 }, 400, 'bad_request'],
    ['an unknown path', '/v1/unknown', {}, 404, 'not_found'],
  ])('answers %s with a body that says so', async (_, path, body, status, code) => {
    expect(await post(open, path, body)).toEqual({
      status,
      body: { error: { code, message: expect.any(String) } },
    });
  });

  it.each([
    ['data', 70_000, 'websocket.maxPayloadBytes'],
    ['a body', 1_100_000, 'limits.bodyBytes'],
  ])('names the limit that %s is beyond', async (_, length, limit) => {
    const answer = await post(open, '/v1/publish', { room: 'a', data: 'x'.repeat(length) });
    expect(answer).toEqual({
      status: 413,
      body: { error: { code: 'payload_too_large', message: expect.stringContaining(limit), limit } },
    });
  });

  it('says which method a path takes', async () => {
    const answer = await fetch(`${open.url}/v1/publish`);
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('POST');
    expect(await answer.json()).toEqual({ error: { code: 'method_not_allowed', message: 'use POST here' } });
  });

  it('asks for a key where one is set, and is off in production where none is', async () => {
    const message = { room: 'a', data: 1 };
    expect((await post(guarded, '/v1/publish', message)).status).toBe(401);
    expect((await post(guarded, '/v1/publish', message, { Authorization: 'Bearer wrong' })).status).toBe(401);
    expect(
      (await post(guarded, '/v1/publish', message, { Authorization: 'Bearer second-key-of-two' })).status,
    ).toBe(200);
    expect((await fetch(`${guarded.url}/v1/rooms/a/history`)).status).toBe(401);
    expect((await post(production, '/v1/publish', message)).status).toBe(403);
  });

  it('serves health, metrics and the demo page in the open, the page not in production', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect((await fetch(`${guarded.url}${path}`)).status).toBe(200);
    }
    for (const [path, type] of [
      ['/', 'text/html'],
      ['/chat.js', 'text/javascript'],
      ['/chat.css', 'text/css'],
    ]) {
      const page = await fetch(`${open.url}${path}`);
      expect(page.headers.get('content-type')).toContain(type);
      const etag = page.headers.get('etag')!;
      const again = await fetch(`${open.url}${path}`, { headers: { 'If-None-Match': etag } });
      expect([page.status, again.status]).toEqual([200, 304]);
      expect((await fetch(`${production.url}${path}`)).status).toBe(404);
    }
  });

  it('serves the demo page with a policy that allows no code in the page', async () => {
    const { headers } = await fetch(`${open.url}/`);
    const policy = headers.get('content-security-policy')!;
    expect(policy.split('; ')).toContain("default-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*/);
  });
});
