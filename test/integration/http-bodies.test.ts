/** Bodies of HTTP requests that are odd, and what is said to them. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { conversation, request, requestBytes } from '../support/raw-http.ts';

let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterAll(() => node.stop());

const JSON_TYPE = 'Content-Type: application/json';
const MSGPACK_TYPE = 'Content-Type: application/msgpack';

async function publish(body: Uint8Array | string, headers: readonly string[] = [JSON_TYPE], path = '') {
  const answer = await request(node.url, { method: 'POST', path: `/v1/publish${path}`, headers, body });
  return { ...answer, json: answer.body.startsWith('{') ? JSON.parse(answer.body) : null };
}

/** The payloads of what is stored in a room. */
async function historyOf(room: string): Promise<unknown[]> {
  const answer = await fetch(`${node.url}/v1/rooms/${encodeURIComponent(room)}/history`);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { messages: unknown[][] }).messages.map((message) => message[5]);
}

/** JSON of so many arrays, one inside the other. */
function nested(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels);
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
/** A MessagePack body whose `data` is these bytes. */
const msgpackBody = (room: string, data: Uint8Array) =>
  Buffer.concat([hex('82'), packValue('room'), packValue(room), packValue('data'), data]);
/** The same as a batch, between two good messages. */
const msgpackBatch = (room: string, data: Uint8Array) =>
  Buffer.concat([
    ...[hex('81'), packValue('messages'), hex('93')],
    ...[msgpackBody(room, packValue(1)), msgpackBody(room, data), msgpackBody(room, packValue(3))],
  ]);

describe('a payload that cannot be sent', () => {
  const UNSENDABLE: [string, string][] = [
    ['nested 64 levels deep', nested(64)],
    ['nested 10,000 levels deep', nested(10_000)],
    ['maps nested 64 levels deep', `${'{"a":'.repeat(64)}1${'}'.repeat(64)}`],
  ];

  it.each(UNSENDABLE)('is answered 400 where it is %s', async (_, data) => {
    const { status, json } = await publish(`{"room":"deep","data":${data}}`);
    expect(status).toBe(400);
    expect(json.error).toEqual({ code: 'bad_request', message: expect.stringContaining('nested') });
  });

  it.each(UNSENDABLE)('has its error in place in a batch where it is %s', async (what, data) => {
    const room = `deep:${what}`;
    const [head, tail] = [`{"room":"${room}","data":1}`, `{"room":"${room}","data":3}`];
    const { status, json } = await publish(
      `{"messages":[${head},{"room":"${room}","data":${data}},${tail}]}`,
      [JSON_TYPE],
      '/batch',
    );
    expect(status).toBe(200);
    expect(json.results).toMatchObject([{ offset: 1 }, { error: { code: 'bad_request' } }, { offset: 2 }]);
    expect(await historyOf(room)).toEqual([1, 3]);
  });

  it.each([
    ['an extension type', 'd4 01 00', 'an extension type other than timestamp is not supported'],
    ['a map key that is no string', '81 01 02', 'a map key is not a string'],
    ['an integer beyond 53 bits', 'cf ff ff ff ff ff ff ff ff', 'an integer does not fit 53 bits'],
    ['a string that is not UTF-8', 'a1 e9', 'a string is not valid UTF-8'],
    ['64 levels', `${'91'.repeat(63)} 90`, 'nested too deeply'],
  ])('is refused in MessagePack for %s, alone and in its place in a batch', async (what, data, problem) => {
    const room = `ext:${what}`;
    const alone = await publish(msgpackBody(room, hex(data)), [MSGPACK_TYPE, 'Accept: application/json']);
    expect(alone.json.error).toEqual({ code: 'bad_request', message: expect.stringContaining(problem) });
    const batch = await publish(
      msgpackBatch(room, hex(data)),
      [MSGPACK_TYPE, 'Accept: application/json'],
      '/batch',
    );
    expect(batch.json.results).toMatchObject([
      { offset: 1 },
      { error: { code: 'bad_request', message: expect.stringContaining(problem) } },
      { offset: 2 },
    ]);
  });

  it('leaves no stack in the log', () => {
    expect(node.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('a batch', () => {
  it('answers each malformed message in its place', async () => {
    const good = { room: 'places', data: 1 };
    const bad = [7, null, [], {}, { room: 3, data: 1 }, { room: '*', data: 1 }, { room: 'places' }];
    const keys = ['', 'x'.repeat(65), 5, '\ud800'].map((key) => ({ ...good, key }));
    const { json } = await publish(
      JSON.stringify({ messages: [good, ...bad, ...keys, good] }),
      [JSON_TYPE],
      '/batch',
    );
    const codes = json.results.map((result: { error?: { code: string } }) => result.error?.code ?? 'stored');
    expect(codes).toEqual([
      'stored',
      ...[
        'bad_request',
        'bad_request',
        'bad_request',
        'bad_request',
        'bad_request',
        'bad_room',
        'bad_request',
      ],
      ...['bad_request', 'bad_request', 'bad_request', 'bad_request'],
      'stored',
    ]);
    expect(json.results[1].error.message).toBe('messages[1] is not an object with room and data');
    expect(await historyOf('places')).toEqual([1, 1]);
  });
});

describe('payloads at the limit', () => {
  it('may have 63 levels, and are read back in both encodings', async () => {
    expect((await publish(`{"room":"deepest","data":${nested(63)}}`)).status).toBe(200);
    expect(JSON.stringify((await historyOf('deepest'))[0])).toBe(nested(63));
    const answer = await fetch(`${node.url}/v1/rooms/deepest/history`, {
      headers: { Accept: 'application/msgpack' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/msgpack');
  });

  it('are stored as they came in MessagePack: bytes, nanoseconds, odd map keys', async () => {
    const data = hex('93 c4 02 00 ff d7 ff 00 00 00 04 65 53 f1 00 81 a9 5f 5f 70 72 6f 74 6f 5f 5f 01');
    const client = await TestClient.connect(node.wsUrl);
    await client.ok('join', 'raw');
    const received = once(client.socket, 'message') as Promise<[Buffer]>;
    expect((await publish(msgpackBody('raw', data), [MSGPACK_TYPE])).status).toBe(200);
    expect((await received)[0].subarray(-data.length)).toEqual(data);
    await client.close();
    expect(await historyOf('raw')).toEqual([['AP8=', '2023-11-14T22:13:20.000Z', expect.anything()]]);
  });

  it('keep numbers that JSON can spell and MessagePack cannot count', async () => {
    expect((await publish('{"room":"numbers","data":[12345678901234567890,-0,1e400]}')).status).toBe(200);
    expect(await historyOf('numbers')).toEqual([[12345678901234567000, 0, null]]);
  });
});

describe('text that is not UTF-8', () => {
  it.each([
    ['Latin-1', Buffer.from('{"room":"latin","data":"Perch\xe9"}', 'latin1')],
    [
      'an overlong form',
      Buffer.concat([Buffer.from('{"room":"latin","data":"'), hex('c0af'), Buffer.from('"}')]),
    ],
    [
      'a surrogate',
      Buffer.concat([Buffer.from('{"room":"latin","data":"'), hex('eda080'), Buffer.from('"}')]),
    ],
    [
      'half of a character',
      Buffer.concat([Buffer.from('{"room":"latin","data":"'), hex('e282'), Buffer.from('"}')]),
    ],
    ['a key', Buffer.from('{"room":"latin","data":1,"key":"\xe9"}', 'latin1')],
    ['UTF-16', Buffer.from('\ufeff{"room":"latin","data":1}', 'utf16le')],
  ])('is refused in a body: %s', async (_, body) => {
    const { status, json } = await publish(body);
    expect(status).toBe(400);
    expect(json.error).toEqual({ code: 'bad_request', message: 'the body is not valid UTF-8' });
  });

  it.each([
    ['/v1/rooms/a%ff/history', 'bad_room'],
    ['/v1/rooms/a\xe9b/history', 'bad_room'],
    ['/v1/rooms/a%ff/members', 'bad_room'],
    ['/v1/rooms/a/history?since=%ff,1', 'bad_request'],
    ['/v1/rooms/a/history?since=\xe9x,1', 'bad_request'],
    ['/v1/rooms/a/history?limit=%zz', 'bad_request'],
    ['/v1/rooms?limit=%ff1', 'bad_request'],
  ])('is refused in the URL %s', async (path, code) => {
    const answer = await request(node.url, { path });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body).error.code).toBe(code);
  });

  it('stores nothing, neither does an escape of half a character in a key', async () => {
    const body = { room: 'latin', data: 1, key: '\ud800' };
    expect((await publish(JSON.stringify(body))).status).toBe(400);
    expect(await historyOf('latin')).toEqual([]);
    const client = await TestClient.connect(node.wsUrl, { encoding: 'json' });
    const [, , code] = await client.request('publish', 'latin', 1, { key: '\ud800' });
    expect(code).toBe('bad_request');
    await client.close();
  });
});

describe('the type of a body', () => {
  const BODY = '{"room":"types","data":1}';

  it.each([
    ['none', []],
    ['application/json', [JSON_TYPE]],
    ['a charset', ['Content-Type: application/json; charset=utf-8']],
    ['a quoted charset in capitals', ['Content-Type: Application/JSON;charset="UTF-8"']],
    ['another parameter', ['Content-Type: application/json; version=2']],
    ['the encoding identity', [JSON_TYPE, 'Content-Encoding: identity']],
  ])('is JSON with %s', async (_, headers) => {
    expect((await publish(BODY, headers)).status).toBe(200);
  });

  it('may be JSON behind a byte order mark', async () => {
    const { status } = await publish(`\ufeff{"room":"marked","data":"\ufeffx"}`);
    expect(status).toBe(200);
    expect(await historyOf('marked')).toEqual(['\ufeffx']);
  });

  it.each([
    'application/msgpack',
    'application/x-msgpack',
    'application/vnd.msgpack',
    'Application/Vnd.MsgPack',
  ])('is MessagePack as %s, and the answer has the same name', async (name) => {
    const { status, headers } = await publish(msgpackBody('types', packValue(1)), [`Content-Type: ${name}`]);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe(name.toLowerCase());
    const asked = await publish(BODY, [JSON_TYPE, `Accept: ${name}`]);
    expect(asked.headers['content-type']).toBe(name.toLowerCase());
  });

  it.each(['text/plain;charset=UTF-8', 'application/x-www-form-urlencoded'])(
    'is JSON as %s too, where a key comes along',
    async (type) => {
      const answer = await publish(BODY, [`Content-Type: ${type}`, 'Authorization: Bearer any']);
      expect(answer.status).toBe(200);
    },
  );

  it.each([
    ['text/plain', ['Content-Type: text/plain;charset=UTF-8']],
    ['a form', ['Content-Type: application/x-www-form-urlencoded']],
    ['a form with parts', ['Content-Type: multipart/form-data; boundary=x']],
    ['a name that begins like MessagePack', ['Content-Type: application/msgpack-stream']],
    ['another charset', ['Content-Type: application/json; charset=iso-8859-1']],
    ['another charset, quoted', ['Content-Type: application/json; charset="utf-16"']],
    ['gzip', [JSON_TYPE, 'Content-Encoding: gzip']],
    ['br', [JSON_TYPE, 'Content-Encoding: br']],
  ])('is refused with what is accepted: %s', async (_, headers) => {
    for (const path of ['', '/batch']) {
      const answer = await publish(BODY, headers, path);
      expect(answer.status).toBe(415);
      expect(answer.json.error.code).toBe('unsupported_media_type');
      expect(answer.json.error.message).toMatch(/ is not supported: send /);
      expect(answer.headers['accept-post']).toContain('application/json, application/msgpack');
      expect(answer.headers['accept-encoding']).toBe('identity');
    }
  });
});

it('two requests in one go are not both answered: the outcome is unknown, and the same key tells', async () => {
  const one = requestBytes(node.url, {
    method: 'POST',
    path: '/v1/publish',
    headers: [JSON_TYPE],
    body: '{"room":"pipelined","data":1,"key":"k"}',
  });
  expect(await conversation(node.url, Buffer.concat([one, one]), '')).toBe('');
  const again = await publish('{"room":"pipelined","data":1,"key":"k"}');
  expect(again.json).toMatchObject({ offset: 1 });
  expect(await historyOf('pipelined')).toEqual([1]);
});
