/** Requests that take much for few bytes: one after the other without waiting, and bodies in tiny chunks. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ANSWERS_A_TURN } from '../../src/transport/http/answer-turns.ts';
import { silentLog } from '../../src/util/log.ts';
import { readMetric } from '../support/metrics.ts';
import { within } from '../support/wait.ts';

let node: RunningNode;

beforeAll(async () => {
  const settings = { host: '127.0.0.1', port: 0, metrics: { rendersPerSecond: 0 } };
  const loaded = loadConfig({ settings, env: {} });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  node = await startNode(loaded.config, silentLog);
});
afterAll(() => node.stop());

interface Outcome {
  readonly answers: number;
  /** By the node. */
  readonly isClosed: boolean;
}

/** Sends bytes until `enough` answers came, or the node closes the socket. */
async function sent(bytes: string, enough: number): Promise<Outcome> {
  const socket = connect(node.port, '127.0.0.1');
  let text = '';
  const count = () => text.split('HTTP/1.1 ').length - 1;
  const outcome = new Promise<Outcome>((resolve) => {
    socket.on('data', (data) => {
      text += String(data);
      if (count() >= enough) resolve({ answers: count(), isClosed: false });
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve({ answers: count(), isClosed: true }));
  });
  socket.write(bytes);
  try {
    return await within(20_000, 'answers or a close', outcome);
  } finally {
    socket.destroy();
  }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
const alive = async () => (await fetch(`http://127.0.0.1:${node.port}/healthz`)).status;

async function metric(name: string): Promise<number> {
  return readMetric(await (await fetch(`http://127.0.0.1:${node.port}/metrics`)).text(), name)!;
}

describe('requests that do not wait for answers', () => {
  it.each(['/healthz', '/readyz', '/metrics', '/nowhere', '/ws', '/client.js'])(
    'are answered a few at a time, and beyond that end their socket (%s)',
    async (path) => {
      expect(await sent(get(path).repeat(10), 10)).toEqual({ answers: 10, isClosed: false });
      const before = await metric('roomcast_http_requests_aborted_total');
      const { answers, isClosed } = await sent(get(path).repeat(2000), Infinity);
      expect(isClosed).toBe(true);
      // The first packet may be a read of its own.
      expect(answers).toBeLessThanOrEqual(2 * ANSWERS_A_TURN);
      expect(await metric('roomcast_http_requests_aborted_total')).toBe(before + 1);
      expect(await alive()).toBe(200);
    },
  );

  it('are upgrades that are refused: the second one ends the socket', async () => {
    const upgrade = 'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';
    const broken = `${upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 1\r\n\r\n`;
    const { answers, isClosed } = await sent(broken.repeat(2000), Infinity);
    expect([answers, isClosed]).toEqual([0, true]);
    expect(await sent(broken, Infinity)).toEqual({ answers: 1, isClosed: true });
  });
});

describe('a body in tiny chunks', () => {
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;

  it.each(['/v1/rooms/x/messages', '/v1/events', '/v1/publish'])('ends its socket (%s)', async (path) => {
    const limited = 'roomcast_limited_total{limit="limits.bodyBytes"}';
    const before = await metric(limited);
    const { answers, isClosed } = await sent(head(path) + '1\r\nx\r\n'.repeat(200_000), Infinity);
    expect([answers, isClosed]).toEqual([0, true]);
    expect(await metric(limited)).toBe(before + 1);
    expect(await alive()).toBe(200);
  });

  it('is a body as any other where it is short', async () => {
    const chunks = [...'{"data":1}'].map((char) => `1\r\n${char}\r\n`).join('');
    expect((await sent(`${head('/v1/rooms/x/messages') + chunks}0\r\n\r\n`, 1)).answers).toBe(1);
  });
});
