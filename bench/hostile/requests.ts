/** HTTP as an ill-meaning peer would write it: requests, upgrades and event streams, whole and damaged. */
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import type { Random } from '../../test/support/random.ts';
import { share } from './commands.ts';
import { mutated } from './mutate.ts';
import { API_KEY, HOSTILE_ROOMS } from './rooms.ts';

interface Draft {
  method: string;
  target: string;
  version: string;
  headers: string[];
  body: Buffer | null;
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'get', 'G'];
const ROOMS = [
  ...HOSTILE_ROOMS,
  'a%00b',
  '%ff',
  '%',
  '%2',
  '..',
  '%2e%2e',
  '*',
  '',
  '$user:a',
  '%24system',
  'x'.repeat(129),
];
const QUERIES = [
  ...[
    '',
    '?',
    '?limit=1',
    '?limit=-1',
    '?limit=1e9',
    '?limit=x',
    '?since=abcdefgh,0',
    '?since=,',
    '?since=a,b',
  ],
  ...[
    '?since=abcdefgh,9007199254740993',
    '?last=3',
    '?last=-1',
    '?last=99999999999999999999',
    '?last=',
    '?after=x',
  ],
  ...['?token=', '?token=nonsense', '?a=1&a=2&a=3', '?limit=%00', '?since=%ff,0', `?${'q'.repeat(3000)}`],
];
const BODIES: readonly unknown[] = [
  { room: 'hostile:plain', data: 1 },
  { room: 'hostile:plain', data: { text: 'x'.repeat(300) }, key: 'k1' },
  { data: 1 },
  { data: null, key: '' },
  { data: 1, key: 'k'.repeat(65), ephemeral: true },
  { room: 7, data: 1 },
  { room: '*', data: 1 },
  { room: 'hostile:plain' },
  { messages: [] },
  { messages: [1, null, {}, { room: 'hostile:plain', data: 1 }, { room: '\u0000', data: 1 }] },
  { messages: Array.from({ length: 1001 }, () => 0) },
  { messages: { length: 3 } },
  { rooms: [{ room: 'hostile:plain' }] },
  {
    rooms: [
      { room: 'hostile:plain', since: ['abcdefgh', 0] },
      { room: 'hostile:bare', last: 2 },
    ],
  },
  { rooms: [{ room: 'hostile:plain' }, { room: 'hostile:plain' }] },
  { rooms: [] },
  { rooms: 'all' },
  { rooms: Array.from({ length: 101 }, (_, i) => ({ room: `hostile:${i}` })) },
  { user: 'someone', forMs: -1 },
  { user: 'someone', reason: 'x'.repeat(201) },
  { user: '', forMs: 1e300 },
  { user: 'someone', forMs: 0 },
  { __proto__: { data: 1 }, constructor: 1 },
  [],
  null,
  'text',
  7,
];
const PATHS: readonly ((random: Random) => string)[] = [
  () => '/v1/publish',
  () => '/v1/publish/batch',
  (random) => `/v1/rooms/${random.pick(ROOMS)}/messages`,
  (random) => `/v1/rooms/${random.pick(ROOMS)}/history`,
  (random) => `/v1/rooms/${random.pick(ROOMS)}/members`,
  (random) => `/v1/rooms/${random.pick(ROOMS)}/acks`,
  (random) => `/v1/rooms/${random.pick(ROOMS)}/${random.pick(['add', 'remove'])}`,
  (random) => `/v1/users/${random.pick(['someone', '%00', '%ff', '', 'x'.repeat(101)])}`,
  (random) => `/v1/users/${random.pick(['someone', '%00', '%ff', 'x'.repeat(101)])}/disconnect`,
  (random) =>
    random.pick(['/v1/rooms', '/v1/nodes', '/', '/ws', '/healthz', '/readyz', '/metrics', '/client.js']),
  (random) =>
    random.pick([
      '/v1',
      '//',
      '/..',
      '/%2e%2e/etc/passwd',
      '/v1/rooms//history',
      '/*',
      '*',
      '/\u00e9',
      '/a b',
    ]),
];
const HEADERS: readonly ((random: Random) => string)[] = [
  (random) =>
    `Authorization: ${random.pick(['', 'Bearer', 'Bearer  x', 'Basic YTpi', 'bearer \u00ff', `Bearer ${'k'.repeat(3000)}`])}`,
  (random) =>
    `Content-Type: ${random.pick(['application/json', 'text/plain', 'application/msgpack', 'x', ';', 'application/json; charset=utf-16', 'multipart/form-data; boundary=x'])}`,
  (random) => `Content-Encoding: ${random.pick(['gzip', 'identity', ''])}`,
  (random) => `Accept: ${random.pick(['*/*', 'application/msgpack', 'text/event-stream', ','])}`,
  (random) => `Origin: ${random.pick(['null', 'https://evil.example', '', 'https://a@b:c', '\u00ff'])}`,
  (random) => `X-Forwarded-For: ${random.pick(['1.2.3.4', '::1', 'x', '1.2.3.4, '.repeat(200), ''])}`,
  (random) =>
    `Last-Event-ID: ${random.pick(['abcdefgh,1', ',', 'a', 'abcdefgh,-1', 'x'.repeat(2000), '\u00ff'])}`,
  (random) =>
    `Content-Length: ${random.pick(['0', '5', '-1', '1e3', '00005', '99999999999999999999', '4294967297', ' 5', '5, 5', ''])}`,
  (random) => `Transfer-Encoding: ${random.pick(['chunked', 'gzip, chunked', 'identity', 'xchunked', ''])}`,
  (random) => `Expect: ${random.pick(['100-continue', 'x'])}`,
  (random) => `Connection: ${random.pick(['close', 'keep-alive', 'Upgrade', 'upgrade, close'])}`,
  (random) => `X-${'h'.repeat(random.pick([1, 100, 9000]))}: ${'v'.repeat(random.pick([0, 1, 9000]))}`,
  () => 'Host: ',
  () => 'Host: a\r\nHost: b',
  () => ' folded: line',
  () => 'no colon at all',
  () => ': no name',
  () => 'Nul\u0000: x',
];

/** Requests to any route, with and without the key of the server API. */
export function hostileRequest(random: Random): Buffer {
  const target = random.pick(PATHS)(random) + (random.next() < 0.4 ? random.pick(QUERIES) : '');
  const method = random.next() < 0.8 ? random.pick(['GET', 'POST']) : random.pick(METHODS);
  const body = method === 'GET' && random.next() < 0.9 ? null : bodyOf(random);
  const draft: Draft = { method, target, version: 'HTTP/1.1', headers: ['Host: localhost'], body };
  if (random.next() < 0.6) draft.headers.push(`Authorization: Bearer ${API_KEY}`);
  return finished(draft, random);
}

/** Requests for event streams of one room and of several. */
export function hostileEvents(random: Random): Buffer {
  const isPost = random.next() < 0.4;
  const path = isPost ? '/v1/events' : `/v1/rooms/${random.pick(ROOMS)}/events`;
  const target = path + (random.next() < 0.6 ? random.pick(QUERIES) : '');
  const headers = ['Host: localhost', 'Accept: text/event-stream'];
  const body = isPost ? bodyOf(random) : null;
  return finished({ method: isPost ? 'POST' : 'GET', target, version: 'HTTP/1.1', headers, body }, random);
}

const UPGRADE = [
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];
const UPGRADE_HEADERS: readonly ((random: Random) => string)[] = [
  (random) => `Upgrade: ${random.pick(['WebSocket', 'websocket, h2c', 'h2c', '', 'web socket'])}`,
  (random) => `Connection: ${random.pick(['keep-alive, Upgrade', 'close', '', 'upgrade'])}`,
  (random) => `Sec-WebSocket-Version: ${random.pick(['12', '14', '', '13, 8', ' 13 '])}`,
  (random) =>
    `Sec-WebSocket-Key: ${random.pick(['', 'x', 'A'.repeat(24), 'AAAAAAAAAAAAAAAAAAAAA===', '\u00ff'.repeat(24)])}`,
  (random) =>
    `Sec-WebSocket-Protocol: ${random.pick(['roomcast.v1.json', 'roomcast.v1.msgpack', 'roomcast.v2.json', '', ',,', 'a, roomcast.v1.json', 'x'.repeat(2000)])}`,
  (random) =>
    `Sec-WebSocket-Extensions: ${random.pick(['permessage-deflate', 'permessage-deflate; client_max_window_bits=99', ';;', 'x', 'permessage-deflate; '.repeat(50)])}`,
];

/** Requests that mean to open a WebSocket: a header is missing, twice there, out of order, or says something else. */
export function hostileUpgrade(random: Random): Buffer {
  const headers = [...UPGRADE];
  if (random.next() < 0.3) headers.splice(random.whole(0, headers.length - 1), 1);
  for (let more = random.pick([0, 0, 1, 1, 2]); more > 0; more--) {
    headers.splice(random.whole(0, headers.length), 0, random.pick(UPGRADE_HEADERS)(random));
  }
  if (random.next() < 0.1) headers.reverse();
  const target = random.pick([
    '/ws',
    '/ws',
    '/ws',
    '/ws',
    '/ws/',
    '/WS',
    '//ws',
    '/ws?',
    '/ws?token=',
    '/ws?token=x',
  ]);
  const method = random.next() < 0.95 ? 'GET' : random.pick(METHODS);
  return finished({ method, target, version: 'HTTP/1.1', headers, body: null }, random);
}

function bodyOf(random: Random): Buffer {
  const value = random.pick(BODIES);
  const text = Buffer.from(JSON.stringify(value));
  return share<() => Buffer>(random, [
    [6, () => text],
    [3, () => mutated(text, random)],
    [2, () => Buffer.from(encodeCommand(value as CommandFrame, 'msgpack'))],
    [1, () => mutated(Buffer.from(encodeCommand(value as CommandFrame, 'msgpack')), random)],
    [1, () => random.bytes(random.whole(0, 100))],
    [1, () => Buffer.from('['.repeat(random.pick([10, 100, 5000])))],
  ])();
}

/** As bytes: with a length that is right, wrong or missing, in chunks, twice, damaged. */
function finished(draft: Draft, random: Random): Buffer {
  const { headers, body } = draft;
  for (let more = random.pick([0, 0, 0, 1, 2]); more > 0; more--) headers.push(random.pick(HEADERS)(random));
  if (random.next() < 0.02) headers.push(...Array.from({ length: 120 }, (_, i) => `X-${i}: 1`));
  if (random.next() < 0.02) draft.version = random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/9', 'http/1.1', '']);
  let content: Buffer = body ?? Buffer.alloc(0);
  if (body !== null) {
    if (random.next() < 0.1) content = chunked(body, headers, random);
    else
      headers.push(
        `Content-Length: ${random.next() < 0.93 ? body.length : body.length + random.pick([-1, 1, 1000])}`,
      );
  }
  const head = [`${draft.method} ${draft.target} ${draft.version}`, ...headers].join('\r\n');
  const whole = Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), content]);
  if (random.next() < 0.02) return Buffer.concat([whole, whole]);
  return random.next() < 0.3 ? mutated(whole, random) : whole;
}

function chunked(body: Buffer, headers: string[], random: Random): Buffer {
  headers.push('Transfer-Encoding: chunked');
  const size = random.pick([
    body.length.toString(16),
    `000${body.length.toString(16)}`,
    '-1',
    'g',
    'ffffffffffffffff',
    '',
  ]);
  const end = random.pick(['\r\n0\r\n\r\n', '\r\n0\r\nTrailer: x\r\n\r\n', '', '\n0\n\n']);
  return Buffer.concat([Buffer.from(`${size}${random.pick(['', ';x=y'])}\r\n`), body, Buffer.from(end)]);
}

/** A plain upgrade, for what comes after it. */
export function upgradeWith(headers: readonly string[], target = '/ws'): Buffer {
  return Buffer.from([`GET ${target} HTTP/1.1`, ...UPGRADE, ...headers, '', ''].join('\r\n'), 'latin1');
}
