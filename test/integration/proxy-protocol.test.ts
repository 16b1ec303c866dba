/** Whom a node believes about the address of a client, where balancers of TCP are in front. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeProcess } from '../support/node-process.ts';
import { within } from '../support/wait.ts';

let believing: NodeProcess;
let strict: NodeProcess;

const LIMITS = {
  ROOMCAST_LIMITS_ADDRESS_REQUESTS_PER_SECOND: '1',
  ROOMCAST_LIMITS_ADDRESS_REQUEST_BURST: '1',
  ROOMCAST_LIMITS_LIMIT_PRIVATE_ADDRESSES: 'true',
  ROOMCAST_LIMITS_CONNECTIONS_PER_ADDRESS: '1',
};

beforeAll(async () => {
  [believing, strict] = await Promise.all([
    NodeProcess.start({
      env: { ...LIMITS, ROOMCAST_TRUST_PROXY: 'loopback', ROOMCAST_PROXY_PROTOCOL: 'true' },
    }),
    NodeProcess.start({
      env: { ...LIMITS, ROOMCAST_TRUST_PROXY: '10.0.0.0/8', ROOMCAST_PROXY_PROTOCOL: 'true' },
    }),
  ]);
});

afterAll(() => Promise.all([believing, strict].map((node) => node.stop())));

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A header of version 2, for TCP. */
function header(client: string): Buffer {
  if (client.includes(':')) {
    const groups = client.split(':').map((group) => Number.parseInt(group, 16));
    const addresses = Buffer.alloc(36);
    for (const [at, group] of groups.entries()) addresses.writeUInt16BE(group, 2 * at);
    return Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x21, 0, 36]), addresses]);
  }
  const addresses = Buffer.from([...client.split('.').map(Number), 127, 0, 0, 1, 1, 2, 3, 4]);
  return Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0, 12]), addresses]);
}

const get = (path: string, ...lines: string[]) =>
  Buffer.from(`${[`GET ${path} HTTP/1.1`, 'Host: node', ...lines].join('\r\n')}\r\n\r\n`);
const UPGRADE = get(
  '/ws',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
);

const open: Socket[] = [];

/** Sends the first part, and each further one once something has come. Resolves with the status of each answer. */
async function talk(node: NodeProcess, ...parts: Buffer[]): Promise<number[]> {
  const { hostname, port } = new URL(node.url);
  const socket = connect(Number(port), hostname);
  open.push(socket);
  let received = '';
  const done = new Promise<void>((resolve) => {
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.on('data', (text: string) => {
      received += text;
      if (received.startsWith('HTTP/1.1 101')) return resolve();
      const next = parts.shift();
      if (next !== undefined) socket.write(next);
    });
  });
  socket.write(parts.shift()!);
  await within(5000, 'an answer', done);
  return [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
}

describe('PROXY protocol', () => {
  it('names the client of a trusted proxy, by IPv4 and by the /64 of IPv6', async () => {
    const request = get('/nowhere');
    expect(await talk(believing, Buffer.concat([header('198.51.100.1'), request]))).toEqual([404]);
    expect(await talk(believing, Buffer.concat([header('198.51.100.1'), request]))).toEqual([429]);
    expect(await talk(believing, Buffer.concat([header('198.51.100.2'), request]))).toEqual([404]);
    expect(await talk(believing, Buffer.concat([header('2001:db8:0:1:0:0:0:1'), request]))).toEqual([404]);
    expect(await talk(believing, Buffer.concat([header('2001:db8:0:1:0:0:0:2'), request]))).toEqual([429]);
  });

  it('is believed for WebSockets', async () => {
    const upgrade = Buffer.concat([header('198.51.100.3'), UPGRADE]);
    expect(await talk(believing, upgrade)).toEqual([101]);
    expect(await talk(believing, upgrade)).toEqual([429]);
    for (const socket of open.splice(0)) socket.destroy();
  });

  it('says nothing from who is not trusted', async () => {
    const request = (client: string) => Buffer.concat([header(client), get('/nowhere'), get('/healthz')]);
    // The first was counted for 127.0.0.1, as is the next one, whoever it says it is.
    expect((await talk(strict, request('198.51.100.1')))[0] ?? 404).toBe(404);
    expect(await talk(strict, Buffer.concat([header('198.51.100.2'), get('/nowhere')]))).toEqual([429]);
  });

  it.each([
    [
      'in the same packet',
      (forged: Buffer) => [Buffer.concat([header('198.51.100.4'), get('/healthz'), forged])],
    ],
    [
      'after the answer',
      (forged: Buffer) => [Buffer.concat([header('198.51.100.5'), get('/healthz')]), forged],
    ],
    [
      'behind a refused upgrade',
      (forged: Buffer) => [
        Buffer.concat([
          header('198.51.100.6'),
          get('/ws', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='),
          forged,
        ]),
      ],
    ],
  ])('cannot be forged by a client that sends a header of its own %s', async (_, parts) => {
    const statuses = await talk(believing, ...parts(Buffer.concat([header('203.0.113.1'), UPGRADE])));
    expect(statuses).not.toContain(101);
  });
});
