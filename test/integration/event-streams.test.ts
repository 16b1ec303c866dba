/** Server-Sent Events, and publishing with a client's token, from nodes that run. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.ts';
import { EventReader, StreamRefused, type StreamRequest } from '../support/events.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { requestBytes } from '../support/raw-http.ts';
import { SECRET, secondsFromNow, token } from '../support/tokens.ts';
import { waitFor, within } from '../support/wait.ts';

const KEY = 'key-of-the-backend';
const PAGE = 'https://app.example.com';

/** It admits everyone. */
let open: NodeProcess;
/** It wants a token from everyone. */
let guarded: NodeProcess;
/** It knows users, and admits others. */
let mixed: NodeProcess;
const readers: EventReader[] = [];
const clients: TestClient[] = [];

beforeAll(async () => {
  const rooms = JSON.stringify([
    { match: 'plain:*', history: { messages: 0 } },
    { match: 'users:*', join: 'authenticated' },
    { match: 'team:*', publish: 'members', join: 'authenticated' },
    { match: 'seen:*', memberEvents: true },
    { match: 'orders:*', acks: true },
  ]);
  const guard = { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_API_KEYS: KEY, ROOMCAST_ROOMS: rooms };
  open = await NodeProcess.start({
    env: { ROOMCAST_ROOMS: rooms, ROOMCAST_LIMITS_ROOMS_PER_CONNECTION: '3', ROOMCAST_LOG_LEVEL: 'debug' },
  });
  guarded = await NodeProcess.start({
    env: { ...guard, ROOMCAST_ALLOWED_ORIGINS: PAGE, ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000' },
  });
  mixed = await NodeProcess.start({
    env: {
      ...guard,
      ROOMCAST_AUTH_ANONYMOUS: 'true',
      ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '20',
      ROOMCAST_LIMITS_COMMAND_BURST: '50',
    },
  });
});

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(() => Promise.all([open.stop(), guarded.stop(), mixed.stop()]));

async function read(node: NodeProcess, path: string, request?: StreamRequest): Promise<EventReader> {
  const reader = await EventReader.open(node.url + path, request);
  readers.push(reader);
  await reader.until('joined', ([type]) => type === 'joined');
  return reader;
}

const ofRoom = (room: string, query = '') => `/v1/rooms/${encodeURIComponent(room)}/events${query}`;

async function refused(node: NodeProcess, path: string, request?: StreamRequest): Promise<StreamRefused> {
  const outcome = await EventReader.open(node.url + path, request).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(StreamRefused);
  return outcome as StreamRefused;
}

async function ask(node: NodeProcess, method: string, path: string, options: StreamRequest = {}) {
  const headers = { ...(options.body === undefined ? {} : { 'Content-Type': 'application/json' }) };
  const answer = await fetch(node.url + path, {
    method,
    headers: { ...headers, ...options.headers },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? null : JSON.parse(text) };
}

const say = (room: string, data: unknown, more: object = {}) =>
  ask(open, 'POST', `/v1/rooms/${encodeURIComponent(room)}/messages`, { body: { data, ...more } });

const bearer = async (claims: object) => ({ Authorization: `Bearer ${await token(claims as never)}` });

async function metric(node: NodeProcess, series: string): Promise<number> {
  return readMetric(await (await fetch(`${node.url}/metrics`)).text(), series) ?? 0;
}

describe('a stream', () => {
  it('has the same sequence as a WebSocket of either encoding', async () => {
    const room = 'same';
    const sockets = await Promise.all(
      (['msgpack', 'json'] as const).map(async (encoding) => {
        const client = await TestClient.connect(`${open.url.replace('http', 'ws')}/ws`, { encoding });
        clients.push(client);
        await client.ok('join', room, { last: 0 });
        return client;
      }),
    );
    const reader = await read(open, ofRoom(room, '?last=0'));
    const [binary, text] = sockets as [TestClient, TestClient];
    for (let i = 0; i < 50; i++) {
      const publisher = [binary, text][i % 2]!;
      publisher.sendCommand(['publish', 0, room, { i, text: 'ü\n\u2028'.repeat(i) }]);
      await Promise.all([binary.ok('ping'), text.ok('ping')]);
    }
    await reader.heard(50);
    await waitFor(() => sockets.every((socket) => socket.messages(room).length === 50));
    const frames = reader.frames.filter(([type]) => type === 'message');
    expect(frames).toEqual(binary.messages(room));
    expect(frames).toEqual(text.messages(room));
    const ids = reader.events.filter(({ event }) => event === 'message').map(({ id }) => id!.split(',')[1]);
    expect(ids).toEqual(frames.map((frame) => String(frame[2])));
  });

  it('begins with what the join was answered, and the position before the first message that follows', async () => {
    for (const data of ['a', 'b', 'c']) await say('begin', data);
    const reader = await read(open, ofRoom('begin', '?last=2'));
    await reader.heard(2);
    const [joined] = reader.events;
    const [, room, result] = reader.frames[0] as [string, string, { epoch: string }];
    expect([room, result]).toEqual(['begin', { epoch: result.epoch, offset: 3, recovered: false, from: 1 }]);
    expect(joined).toMatchObject({ event: 'joined', id: `${result.epoch},1` });
    expect(joined!.retry).toBeGreaterThanOrEqual(1000);
    expect(joined!.retry).toBeLessThan(3000);
    expect(reader.messages).toEqual(['b', 'c']);
    expect(reader.lastId).toBe(`${result.epoch},3`);
    expect(reader.headers).toMatchObject({
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
  });

  it('goes on after Last-Event-ID, whatever its URL says of the beginning', async () => {
    for (let i = 1; i <= 5; i++) await say('return', i);
    const first = await read(open, ofRoom('return', '?last=4'));
    await first.heard(4);
    const seen = first.events.findIndex(({ data }) => (JSON.parse(data) as unknown[])[5] === 3);
    const id = first.events[seen]!.id!;
    first.close();
    for (const query of ['', '?last=1', `?since=${id.split(',')[0]},0`]) {
      const again = await read(open, ofRoom('return', query), { headers: { 'Last-Event-ID': id } });
      await again.heard(2);
      expect(again.messages).toEqual([4, 5]);
      expect(again.frames[0]![2]).toMatchObject({ recovered: true });
      expect(again.events[0]!.id).toBeUndefined();
    }
  });

  it('goes on after since, and names what last leaves out as a gap with its own position', async () => {
    for (let i = 1; i <= 6; i++) await say('limited', i);
    const { id } = (await read(open, ofRoom('limited'))).events[0]!;
    const epoch = id!.split(',')[0];
    const reader = await read(open, ofRoom('limited', `?since=${epoch},1&last=2`));
    await reader.heard(2);
    expect(reader.frames[1]).toEqual(['gap', 'limited', 2, 4, 'limited']);
    expect(reader.events[1]!.id).toBe(`${epoch},4`);
    expect(reader.messages).toEqual([5, 6]);
  });

  it('is told when the numbering that it knew is over', async () => {
    await say('over', 1);
    const reader = await read(open, ofRoom('over'), { headers: { 'Last-Event-ID': 'formerly,7' } });
    await reader.heard(1);
    const [, , epoch] = reader.frames[1] as [string, string, string, number];
    expect(reader.frames[1]).toEqual(['reset', 'over', epoch, 0]);
    expect(reader.events.map(({ id }) => id)).toEqual([undefined, `${epoch},0`, `${epoch},1`]);
  });

  it('of a room without history has no ids', async () => {
    const reader = await read(open, ofRoom('plain:1', '?last=5'));
    await say('plain:1', 'now');
    await reader.heard(1);
    expect(reader.messages).toEqual(['now']);
    expect(reader.lastId).toBeUndefined();
  });

  it('gets signals between messages, without an id', async () => {
    const reader = await read(open, ofRoom('signals'));
    await say('signals', 'one');
    const signal = await say('signals', 'typing', { ephemeral: true });
    expect(signal.body).toEqual({ epoch: '', offset: 0 });
    await say('signals', 'two');
    await reader.heard(2);
    const [, one, typing, two] = reader.events;
    expect(typing).toMatchObject({ event: 'signal' });
    expect(typing!.id).toBeUndefined();
    expect([one, two].map((event) => event!.id!.split(',')[1])).toEqual(['1', '2']);
    expect(reader.frames[2]!.slice(4)).toEqual(['typing']);
  });

  it('counts as a member, and gets member events without an id', async () => {
    const reader = await read(open, ofRoom('seen:1'));
    const position = reader.lastId;
    const other = await read(open, ofRoom('seen:1'));
    const came = await reader.until('the other one', (frame) => frame[0] === 'member' && frame[4] === 2);
    expect(came.id).toBeUndefined();
    const members = await ask(open, 'GET', '/v1/rooms/seen%3A1/members');
    expect(members.body.count).toBe(2);
    other.close();
    await reader.until('its leaving', (frame) => frame[0] === 'member' && frame[2] === 'left');
    expect(reader.lastId).toBe(position);
  });

  it('of several rooms has frames that name them, and positions that its reader keeps', async () => {
    for (const room of ['one', 'two']) for (const data of ['a', 'b']) await say(room, data);
    const both = { rooms: [{ room: 'one', last: 1 }, { room: 'two' }] };
    const first = await read(open, '/v1/events', { body: both });
    await first.until(
      'both rooms',
      (_, { frames }) => frames.filter(([type]) => type === 'joined').length === 2,
    );
    const [joinedOne, joinedTwo] = ['one', 'two'].map((room) =>
      first.events.find(({ event, data }) => event === 'joined' && JSON.parse(data)[1] === room),
    );
    await say('two', 'c');
    await first.heard(2);
    first.close();
    const [epoch, offset] = joinedTwo!.id!.split(',');
    const again = {
      rooms: [
        { room: 'one', since: joinedOne!.id },
        { room: 'two', since: [epoch, Number(offset)] },
      ],
    };
    const second = await read(open, '/v1/events', { body: again });
    await second.heard(2);
    const got = second.frames.filter(([type]) => type === 'message').map((frame) => [frame[1], frame[5]]);
    expect(got.sort()).toEqual([
      ['one', 'b'],
      ['two', 'c'],
    ]);
  });

  it('brings presence data, and says who is here, where its rooms ask for it', async () => {
    const told = await TestClient.connect(`${open.url.replace('http', 'ws')}/ws`);
    clients.push(told);
    await told.ok('join', 'seen:list', { data: { name: 'Ann' } });
    const body = { rooms: [{ room: 'seen:list', members: true, data: { name: 'Bob' } }] };
    const stream = await read(open, '/v1/events', { body });
    const { members } = stream.frames[0]![2] as { members: { count: number; members: { data: unknown }[] } };
    expect(members.count).toBe(2);
    expect(members.members.map(({ data }) => data).sort()).toEqual([{ name: 'Ann' }, { name: 'Bob' }]);
    await told.next(([type, , change, who]) => {
      return type === 'member' && change === 'joined' && Object(Object(who).data).name === 'Bob';
    });
    expect(
      await refused(open, '/v1/events', { body: { rooms: [{ room: 'a', data: 'x'.repeat(5000) }] } }),
    ).toMatchObject({
      status: 413,
      code: 'payload_too_large',
    });
    // Longer than any list of three rooms, and not longer than other bodies may be.
    const list = { rooms: [{ room: 'a', data: 'x'.repeat(30_000) }] };
    expect((await refused(open, '/v1/events', { body: list })).message).toContain('any list of rooms');
  });

  it('resumes after what its user acknowledged, and again as long as nothing came', async () => {
    const headers = await bearer({ sub: 'reader' });
    const body = { rooms: [{ room: 'orders:eu', resume: true }] };
    const first = await read(guarded, '/v1/events', { headers, body });
    expect(first.events[0]).not.toHaveProperty('id');
    first.close();
    const api = { Authorization: `Bearer ${KEY}` };
    for (const data of [1, 2])
      await ask(guarded, 'POST', '/v1/publish', { headers: api, body: { room: 'orders:eu', data } });
    const second = await read(guarded, '/v1/events', { headers, body });
    await second.heard(2);
    expect(second.messages).toEqual([1, 2]);
  });

  it('is answered to HEAD without beginning', async () => {
    const answer = await fetch(open.url + ofRoom('head'), { method: 'HEAD' });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
  });

  it('is counted while it is open', async () => {
    const isOpen = 'roomcast_connections{encoding="sse"}';
    await waitFor(async () => (await metric(open, isOpen)) === 0);
    const [opened, left] = [
      'roomcast_connections_opened_total{encoding="sse"}',
      'roomcast_connections_closed_total{code="1005"}',
    ];
    const before = [await metric(open, opened), await metric(open, left)];
    const two = [await read(open, ofRoom('counted')), await read(open, ofRoom('counted'))];
    expect(await metric(open, isOpen)).toBe(2);
    for (const reader of two) reader.close();
    await waitFor(async () => (await metric(open, isOpen)) === 0);
    expect([await metric(open, opened), await metric(open, left)]).toEqual(before.map((count) => count + 2));
    expect(
      await metric(open, 'roomcast_http_requests_total{route="/v1/rooms/:room/events",status="2xx"}'),
    ).toBeGreaterThan(1);
  });
});

describe('what is asked for badly', () => {
  it.each([
    ['bogus', 'Last-Event-ID must be epoch,offset, got "bogus"'],
    ['epoch001,', 'epoch,offset'],
    ['epoch001,-1', 'epoch,offset'],
    ['epoch001,1e3', 'epoch,offset'],
    ['epoch001,99999999999999999999', 'epoch,offset'],
    [',5', 'epoch,offset'],
    ['x'.repeat(500), 'epoch,offset'],
  ])('Last-Event-ID %s is refused', async (id, says) => {
    const { status, code, message } = await refused(open, ofRoom('bad'), {
      headers: { 'Last-Event-ID': id },
    });
    expect([status, code]).toEqual([400, 'bad_request']);
    expect(message).toContain(says);
    expect(message.length).toBeLessThan(300);
  });

  it.each([
    ['/v1/rooms/%ff/events', 'bad_room'],
    ['/v1/rooms/a*/events', 'bad_room'],
    [ofRoom('bad', '?last=-1'), 'bad_request'],
    [ofRoom('bad', '?last=many'), 'bad_request'],
    [ofRoom('bad', '?since=5'), 'bad_request'],
    [ofRoom('bad', '?since=%ff'), 'bad_request'],
  ])('GET %s is refused', async (path, code) => {
    expect(await refused(open, path)).toMatchObject({ status: 400, code });
  });

  it.each([
    [[], 400, 'bad_request'],
    [{ rooms: [] }, 400, 'bad_request'],
    [{ rooms: 'one' }, 400, 'bad_request'],
    [{ rooms: ['one'] }, 400, 'bad_request'],
    [{ rooms: [{}] }, 400, 'bad_frame'],
    [{ rooms: [{ room: '' }] }, 400, 'bad_room'],
    [{ rooms: [{ room: 'a', last: -1 }] }, 400, 'bad_request'],
    [{ rooms: [{ room: 'a', since: 5 }] }, 400, 'bad_frame'],
    [{ rooms: [{ room: 'a', since: 'nonsense' }] }, 400, 'bad_request'],
    [{ rooms: [{ room: 'a' }, { room: 'a' }] }, 400, 'bad_request'],
    [{ rooms: [{ room: 'a', members: 'all' }] }, 400, 'bad_frame'],
    [{ rooms: [{ room: 'a', since: ['e', 1], resume: true }] }, 400, 'bad_request'],
    [{ rooms: ['a', 'b', 'c', 'd'].map((room) => ({ room })) }, 429, 'limit_exceeded'],
  ])('POST %j is refused', async (body, status, code) => {
    expect(await refused(open, '/v1/events', { body })).toMatchObject({ status, code });
  });

  it('headers that are too large, and a request that never ends, cost an answer or nothing', async () => {
    const large = requestBytes(open.url, {
      path: ofRoom('bad'),
      headers: [`Last-Event-ID: ${'x'.repeat(20_000)}`],
    });
    const slow = requestBytes(open.url, { path: ofRoom('bad') }).subarray(0, 40);
    const { port } = new URL(open.url);
    const outcome = (bytes: Buffer) =>
      new Promise<string>((resolve) => {
        let answer = '';
        const socket = connect(Number(port), '127.0.0.1');
        socket.on('data', (chunk) => (answer += chunk));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(answer.split('\r\n', 1)[0]!));
        socket.write(bytes);
      });
    const slowly = outcome(slow);
    expect(await within(5000, 'an answer', outcome(large))).toContain('431');
    // uWebSockets.js gives up on it by itself.
    expect(await within(20_000, 'the end of a slow request', slowly)).toBe('');
    expect((await fetch(`${open.url}/healthz`)).status).toBe(200);
  });

  it('other methods are told which work', async () => {
    const answer = await ask(open, 'PUT', ofRoom('bad'));
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });
});

describe('who may', () => {
  it('open a stream is who may join: with a token in the header or the query, never with an API key', async () => {
    const granted = { sub: 'ann', rooms: [{ match: 'news', join: true }] };
    await read(guarded, ofRoom('news'), { headers: await bearer(granted) });
    await read(guarded, ofRoom('news', `?token=${await token(granted)}`));
    for (const request of [{}, { headers: { Authorization: `Bearer ${KEY}` } }]) {
      expect(await refused(guarded, ofRoom('news'), request)).toMatchObject({
        status: 401,
        code: 'unauthorized',
      });
    }
    const said = await refused(guarded, ofRoom('news'), { headers: { Authorization: `Bearer ${KEY}` } });
    expect(said.message).toContain("a client's token, not an API key");
    expect(said.headers['www-authenticate']).toBe('Bearer');
    const other = await refused(guarded, ofRoom('other'), { headers: await bearer(granted) });
    expect(other).toMatchObject({ status: 403, code: 'forbidden' });
    expect(other.message).toContain('rooms claim');
    const expired = await bearer({ sub: 'ann', exp: secondsFromNow(-60) });
    expect(await refused(guarded, ofRoom('news'), { headers: expired })).toMatchObject({
      code: 'token_expired',
    });
  });

  it('open a stream of several rooms is who may join all of them', async () => {
    const headers = await bearer({ sub: 'ann', rooms: [{ match: 'a', join: true }] });
    const body = { rooms: [{ room: 'a' }, { room: 'b' }] };
    const refusal = await refused(guarded, '/v1/events', { headers, body });
    expect(refusal).toMatchObject({ status: 403, code: 'forbidden' });
    expect(refusal.message).toContain('"b"');
    expect(await metric(guarded, 'roomcast_connections{encoding="sse"}')).toBe(0);
  });

  it('come without a token is anonymous where the node admits those', async () => {
    await read(mixed, ofRoom('hall'));
    expect(await refused(mixed, ofRoom('users:1'))).toMatchObject({ status: 403 });
    await read(mixed, ofRoom('users:1'), { headers: await bearer({ sub: 'ann' }) });
    expect(await refused(mixed, ofRoom('hall', '?token=bad'))).toMatchObject({ status: 401 });
  });

  it('read a personal room is its user, and no stream has it unasked', async () => {
    const headers = await bearer({ sub: 'ann' });
    const own = await read(guarded, ofRoom('$user:ann', '?last=5'), { headers });
    const other = await read(guarded, ofRoom('hall'), { headers });
    const body = { room: '$user:ann', data: 'for ann' };
    await ask(guarded, 'POST', '/v1/publish', { headers: { Authorization: `Bearer ${KEY}` }, body });
    await own.heard(1);
    await ask(guarded, 'POST', '/v1/publish', {
      headers: { Authorization: `Bearer ${KEY}` },
      body: { room: 'hall', data: 1 },
    });
    await other.heard(1);
    expect([own.messages, other.messages]).toEqual([['for ann'], [1]]);
    expect(await refused(guarded, ofRoom('$user:bob'), { headers })).toMatchObject({ status: 403 });
  });

  it('a token is in no error and no log', async () => {
    const path = ofRoom('hall', '?token=a-secret-token&last=x');
    await refused(open, path);
    await refused(guarded, ofRoom('hall', '?token=a-secret-token'));
    await ask(open, 'GET', '/v1/nowhere?token=a-secret-token');
    for (const node of [open, guarded]) expect(node.lines.join('\n')).not.toContain('a-secret-token');
  });
});

describe('a stream ends', () => {
  it('on every node when its user is disconnected, and says that it is over', async () => {
    const reader = await read(guarded, ofRoom('hall'), { headers: await bearer({ sub: 'eve' }) });
    const bystander = await read(guarded, ofRoom('hall'), { headers: await bearer({ sub: 'ann' }) });
    const headers = { Authorization: `Bearer ${KEY}` };
    await ask(guarded, 'POST', '/v1/users/eve/disconnect', { headers });
    await reader.ended;
    expect(reader.frames.at(-1)).toEqual(['close', 4503, 'disconnected by the server']);
    expect([reader.whole, bystander.whole]).toEqual([true, null]);
    expect(await metric(guarded, 'roomcast_connections_closed_total{code="4503"}')).toBe(1);
  });

  it('with its token', async () => {
    // Nodes let a token live for 5 s longer.
    const headers = await bearer({ sub: 'ann', exp: secondsFromNow(-3) });
    const reader = await read(guarded, ofRoom('hall'), { headers });
    await within(15_000, 'the end', reader.ended);
    expect(reader.frames.slice(-2)).toEqual([
      ['error', 0, 'token_expired', expect.any(String)],
      ['close', 4002, 'token expired'],
    ]);
  });

  it('and stays alive until then: comments come more often than a heartbeat of WebSockets', async () => {
    const reader = await read(guarded, ofRoom('quiet'), { headers: await bearer({ sub: 'ann' }) });
    await waitFor(() => reader.comments >= 3, { timeoutMs: 10_000 });
    expect(reader.events).toHaveLength(1);
  });

  it('with a bye when its node stops, and then no new one begins', async () => {
    const node = await NodeProcess.start({ env: { ROOMCAST_DRAIN_WINDOW_MS: '1000' } });
    const two = [await read(node, ofRoom('hall')), await read(node, ofRoom('hall'))];
    await node.stop();
    for (const reader of two) {
      await reader.ended;
      const [bye, close] = reader.events.slice(-2);
      const [, code, { reconnectAfterMs }] = JSON.parse(bye!.data);
      expect([bye!.event, code, bye!.retry]).toEqual(['bye', 1012, Math.max(100, reconnectAfterMs)]);
      expect(JSON.parse(close!.data)).toEqual(['close', 1012, 'node restarting']);
      expect(reader.whole).toBe(true);
    }
  });
});

describe('connections', () => {
  it('are limited together with WebSockets', async () => {
    const node = await NodeProcess.start({ env: { ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '2' } });
    try {
      const client = await TestClient.connect(`${node.url.replace('http', 'ws')}/ws`);
      const reader = await read(node, ofRoom('hall'));
      const refusal = await refused(node, ofRoom('hall'));
      expect(refusal).toMatchObject({ status: 503, code: 'unavailable' });
      expect(refusal.headers['retry-after']).toBe('5');
      expect(await metric(node, 'roomcast_upgrades_rejected_total{reason="limit"}')).toBe(1);
      reader.close();
      await waitFor(async () => (await metric(node, 'roomcast_connections{encoding="sse"}')) === 0);
      await read(node, ofRoom('hall'));
      await client.close();
    } finally {
      await node.kill();
    }
  });
});

describe('pages of other origins', () => {
  const asked = (origin: string) => ({
    Origin: origin,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization,content-type',
  });

  it.each([ofRoom('hall'), '/v1/events', '/v1/rooms/hall/messages'])(
    'are let in to %s if they are allowed',
    async (path) => {
      const yes = await ask(guarded, 'OPTIONS', path, { headers: asked(PAGE) });
      expect(yes.status).toBe(200);
      expect(Object.fromEntries(yes.headers)).toMatchObject({
        'access-control-allow-origin': PAGE,
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'Authorization, Content-Type, Last-Event-ID',
        vary: 'Origin',
      });
      const no = await ask(guarded, 'OPTIONS', path, { headers: asked('https://evil.example') });
      expect([no.status, no.headers.get('access-control-allow-origin')]).toEqual([403, null]);
    },
  );

  it('read the stream and its errors, and others neither', async () => {
    const headers = { ...(await bearer({ sub: 'ann' })), Origin: PAGE };
    const reader = await read(guarded, ofRoom('hall'), { headers });
    expect(reader.headers['access-control-allow-origin']).toBe(PAGE);
    const error = await refused(guarded, ofRoom('hall'), { headers: { Origin: PAGE } });
    expect(error.headers['access-control-allow-origin']).toBe(PAGE);
    const evil = await refused(guarded, ofRoom('hall'), {
      headers: { ...headers, Origin: 'https://evil.example' },
    });
    expect([evil.status, evil.headers['access-control-allow-origin']]).toEqual([403, undefined]);
    expect(await metric(guarded, 'roomcast_upgrades_rejected_total{reason="origin"}')).toBe(1);
  });

  it('are all let in where no origins are set', async () => {
    const reader = await read(open, ofRoom('hall'), { headers: { Origin: 'https://any.example' } });
    expect(reader.headers['access-control-allow-origin']).toBe('https://any.example');
  });
});

describe('publishing with a token', () => {
  const post = (node: NodeProcess, room: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(node, 'POST', `/v1/rooms/${encodeURIComponent(room)}/messages`, { body, headers });

  it('is a publish of its user, once for each key', async () => {
    const headers = await bearer({ sub: 'ann' });
    const reader = await read(guarded, ofRoom('chat', '?last=0'), { headers });
    const first = await post(guarded, 'chat', { data: { text: 'hi' }, key: 'k' }, headers);
    const again = await post(guarded, 'chat', { data: { text: 'hi' }, key: 'k' }, headers);
    expect([first.status, first.body.offset]).toEqual([200, 1]);
    expect(again.body).toEqual({ ...first.body, duplicate: true });
    // Keys of one user are not those of another.
    const other = await post(guarded, 'chat', { data: 'other', key: 'k' }, await bearer({ sub: 'bob' }));
    expect(other.body.duplicate).toBeUndefined();
    await reader.heard(2);
    const messages = reader.frames.filter(([type]) => type === 'message');
    expect(messages.map((frame) => [frame[4], frame[5]])).toEqual([
      ['ann', { text: 'hi' }],
      ['bob', 'other'],
    ]);
  });

  it('is permitted to those to whom it is on a socket; where members may, to those who may join', async () => {
    const none = await bearer({ sub: 'ann', rooms: [{ match: 'chat', join: true }] });
    expect((await post(guarded, 'chat', { data: 1 }, none)).body.error.code).toBe('forbidden');
    expect((await post(guarded, '$user:ann', { data: 1 }, await bearer({ sub: 'ann' }))).status).toBe(403);
    expect((await post(guarded, 'chat', { data: 1 })).status).toBe(401);
    expect((await post(guarded, 'chat', { data: 1 }, { Authorization: `Bearer ${KEY}` })).status).toBe(401);
    expect((await post(mixed, 'team:1', { data: 1 })).body.error.code).toBe('not_joined');
    expect((await post(mixed, 'team:1', { data: 1 }, await bearer({ sub: 'ann' }))).status).toBe(200);
    expect((await post(mixed, 'hall', { data: 1 })).status).toBe(200);
  });

  it.each([
    [{}, 400, 'bad_request'],
    [{ data: 1, key: 5 }, 400, 'bad_frame'],
    [{ data: 1, key: '' }, 400, 'bad_request'],
    [{ data: 1, room: 'other' }, 400, 'bad_request'],
    [[], 400, 'bad_request'],
  ])('of %j is refused', async (body, status, code) => {
    const answer = await post(open, 'hall', body);
    expect([answer.status, answer.body.error.code]).toEqual([status, code]);
  });

  it('of more than a WebSocket message may hold is refused', async () => {
    const answer = await post(open, 'hall', { data: 'x'.repeat(70_000) });
    expect([answer.status, answer.body.error.code]).toEqual([413, 'payload_too_large']);
  });

  it('is limited for all requests of a user, as for one connection', async () => {
    const headers = await bearer({ sub: 'flood' });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, data) => post(mixed, 'hall', { data }, headers)),
    );
    const refusals = answers.filter(({ status }) => status === 429);
    expect(refusals.length).toBeGreaterThan(0);
    for (const { body, headers: said } of refusals) {
      expect(body.error.code).toBe('rate_limited');
      expect(Number(said.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
    expect((await post(mixed, 'hall', { data: 1 }, await bearer({ sub: 'calm' }))).status).toBe(200);
  });
});
