/** The WebSocket of `roomcast/testing` behaves as that of browsers does. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker, type TestWebSocket } from '../../src/testing/index.ts';

let broker: TestBroker;

beforeEach(async () => {
  broker = await startTestBroker({ time: 'manual' });
});

afterEach(() => broker.stop());

function heard(socket: TestWebSocket): string[] {
  const log: string[] = [];
  for (const type of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(type, (event) => {
      const { code, message } = event as { code?: number; message?: string };
      log.push([type, code ?? message].filter((part) => part !== undefined).join(' '));
    });
  }
  return log;
}

async function opened(protocols: string | string[] = []): Promise<TestWebSocket> {
  const socket = new broker.WebSocket(broker.url, protocols);
  await broker.settled();
  return socket;
}

describe('a test WebSocket', () => {
  it('has its handlers in the class, as in the standard: a simulated page would call those of the object a second time', () => {
    const socket = new broker.WebSocket(broker.url);
    for (const name of ['onopen', 'onmessage', 'onerror', 'onclose'] as const) {
      socket[name] = () => undefined;
      expect([name, Object.hasOwn(socket, name)]).toEqual([name, false]);
      expect(socket[name]).toBeTypeOf('function');
    }
  });

  it('opens in a later turn, with the subprotocol that the broker chose', async () => {
    const socket = new broker.WebSocket(broker.url, ['other', 'roomcast.v1.json']);
    const log = heard(socket);
    expect([socket.readyState, socket.protocol, socket.url]).toEqual([0, '', broker.url]);
    expect(() => socket.send('early')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }));
    await broker.settled();
    expect([socket.readyState, socket.protocol]).toEqual([1, 'roomcast.v1.json']);
    expect(log).toEqual(['open', 'message']);
  });

  it('has the constants of its states, on the class and on itself', async () => {
    const { CONNECTING, OPEN, CLOSING, CLOSED } = broker.WebSocket;
    const socket = await opened();
    expect([CONNECTING, OPEN, CLOSING, CLOSED]).toEqual([0, 1, 2, 3]);
    expect([socket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED]).toEqual([0, 1, 2, 3]);
  });

  it('calls handlers and listeners with itself', async () => {
    const socket = new broker.WebSocket(broker.url);
    const targets: unknown[] = [];
    socket.onopen = function (this: unknown) {
      targets.push(this);
    };
    socket.addEventListener('open', ({ target }) => targets.push(target));
    socket.onmessage = () => targets.push('replaced');
    socket.onmessage = ({ data }: MessageEvent) => targets.push(JSON.parse(data)[0]);
    await broker.settled();
    expect(targets).toEqual([socket, socket, 'hello']);
  });

  it('gives binary messages as it is told: blobs at first', async () => {
    const socket = new broker.WebSocket(broker.url, 'roomcast.v1.msgpack');
    const kinds: unknown[] = [];
    socket.onmessage = ({ data }: MessageEvent) => kinds.push(data.constructor);
    await broker.settled();
    socket.binaryType = 'nonsense';
    expect(socket.binaryType).toBe('blob');
    socket.binaryType = 'arraybuffer';
    // ["ping", 1]
    socket.send(new Uint8Array([0x92, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x01]));
    await broker.settled();
    expect(kinds).toEqual([Blob, ArrayBuffer]);
  });

  it('sends a copy of what it is given: strings, buffers and views', async () => {
    const socket = await opened('roomcast.v1.msgpack');
    const replies: unknown[] = [];
    socket.onmessage = ({ data }: MessageEvent) => replies.push(data);
    const bytes = new Uint8Array([0, 0x92, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x01, 0]);
    socket.send(bytes.subarray(1, 8));
    socket.send(bytes.slice(1, 8).buffer);
    bytes.fill(0xff);
    expect(socket.bufferedAmount).toBe(14);
    await broker.settled();
    expect(socket.bufferedAmount).toBe(0);
    expect(replies).toHaveLength(1);
    expect(() => socket.send(17 as never)).toThrow('got [object Number]');
  });

  it('sends blobs, and what is sent after one behind it', async () => {
    const socket = await opened();
    const replies: string[] = [];
    socket.onmessage = ({ data }: MessageEvent) => replies.push(...data.split('\n'));
    const binary = (text: string) => new Blob([text]);
    // JSON connections take text only: the error has the place of the message.
    socket.send('["ping",1]');
    socket.send(binary('["ping",2]'));
    socket.send('["ping",3]');
    await broker.settled();
    socket.send('["ping",4]');
    await broker.settled();
    expect(replies.map((line) => JSON.parse(line).slice(0, 3))).toEqual([
      ['ok', 1, {}],
      ['error', 0, 'bad_frame'],
      ['ok', 3, {}],
      ['ok', 4, {}],
    ]);
  });

  it("has the type of a browser's", async () => {
    const Standard: typeof WebSocket = broker.WebSocket;
    expect(new Standard(broker.url)).toBeInstanceOf(broker.WebSocket);
  });

  it('closes with an answer of the broker', async () => {
    const socket = await opened();
    const log = heard(socket);
    socket.close(4000, 'enough');
    expect(socket.readyState).toBe(2);
    socket.send('unheard');
    expect(socket.bufferedAmount).toBe(13);
    await broker.settled();
    expect(log).toEqual(['close 4000']);
    expect([socket.readyState, broker.connections.length]).toEqual([3, 0]);
    socket.close();
  });

  it('sees 1005 if it names no code', async () => {
    const socket = await opened();
    const log = heard(socket);
    socket.close();
    await broker.settled();
    expect(log).toEqual(['close 1005']);
  });

  it('fails if it is closed before it is open', async () => {
    const socket = new broker.WebSocket(broker.url);
    const log = heard(socket);
    socket.close();
    await broker.settled();
    expect(log).toEqual(['error the WebSocket was closed before it was open', 'close 1006']);
    expect(broker.connections).toEqual([]);
  });

  it.each([
    [999, 'InvalidAccessError'],
    [1001, 'InvalidAccessError'],
    [5000, 'InvalidAccessError'],
  ])('refuses the close code %i', async (code, name) => {
    const socket = await opened();
    expect(() => socket.close(code)).toThrow(expect.objectContaining({ name }));
    expect(() => socket.close(1000, 'x'.repeat(124))).toThrow('at most 123 bytes');
    expect(socket.readyState).toBe(1);
  });

  it.each([
    ['no address', []],
    ['ftp://roomcast.test/ws', []],
    ['ws://roomcast.test/ws#part', []],
    ['ws://roomcast.test/ws', ['one', 'one']],
    ['ws://roomcast.test/ws', ['two words']],
  ])('refuses %s with %j', (url, protocols) => {
    expect(() => new broker.WebSocket(url, protocols)).toThrow(
      expect.objectContaining({ name: 'SyntaxError' }),
    );
  });

  it.each([
    ['another host', 'ws://elsewhere.test/ws', [], 'error this WebSocket reaches only ws://roomcast.test/ws'],
    ['another path', 'ws://roomcast.test/socket', [], 'error the WebSocket endpoint is /ws, not /socket'],
    [
      'an unknown subprotocol',
      'ws://roomcast.test/ws',
      ['mqtt'],
      'error offer the subprotocol roomcast.v1.msgpack or roomcast.v1.json, or none: got mqtt',
    ],
  ])('does not open for %s, and says why', async (_what, url, protocols, error) => {
    const log = heard(new broker.WebSocket(url, protocols));
    await broker.settled();
    expect(log).toEqual([error, 'close 1006']);
  });

  it('takes http URLs for WebSocket URLs, as the standard has it', async () => {
    const socket = new broker.WebSocket(new URL(broker.url.replace('ws:', 'http:')));
    await broker.settled();
    expect([socket.url, socket.readyState]).toEqual([broker.url, 1]);
  });
});
