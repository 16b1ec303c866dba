/** One address cannot hold all sockets of a node, whatever it uses them for. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import { loadConfig } from '../../src/config/load.ts';
import { silentLog } from '../../src/util/log.ts';
import { Authority, hasOpenssl } from '../support/authority.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { waitFor } from '../support/wait.ts';

const ATTACKER = '127.0.9.1';
const MOST = 20;
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

async function started(limits: object, more: object = {}): Promise<RunningNode> {
  const metrics = { rendersPerSecond: 0 };
  const common = { host: '127.0.0.1', port: 0, metrics, limits: { limitPrivateAddresses: true, ...limits } };
  const loaded = loadConfig({ settings: { ...common, ...more }, env: {} });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return startNode(loaded.config, silentLog);
}

async function limited(node: RunningNode, limit: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${node.port}/metrics`)).text();
  return readMetric(text, `roomcast_limited_total{limit="${limit}"}`)!;
}

describe('an address that holds sockets', () => {
  let node: RunningNode;
  const held: Socket[] = [];
  let closed = 0;

  beforeAll(async () => {
    node = await started({ socketsPerAddress: MOST });
  });
  afterEach(() => {
    for (const socket of held.splice(0)) socket.destroy();
    closed = 0;
  });
  afterAll(() => node.stop());

  function hold(count: number, first: string): void {
    for (let n = 0; n < count; n++) {
      const socket = connect({ host: '127.0.0.1', port: node.port, localAddress: ATTACKER });
      held.push(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => closed++);
      socket.resume();
      if (first !== '') socket.write(first);
    }
  }

  it.each([
    ['without a request', ''],
    ['with requests that are answered', HEALTH],
    ['with requests that never end', 'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{'],
  ])('(%s) has so many, and leaves the others to others', async (_, first) => {
    const before = await limited(node, 'limits.socketsPerAddress');
    hold(MOST + 15, first);
    // It has sockets of the case before, which closed: they count in its favour for some seconds.
    await waitFor(() => closed > 0, { for: 'sockets that are refused' });
    const client = await TestClient.connect(`ws://127.0.0.1:${node.port}/ws`);
    await client.hello();
    client.socket.terminate();
    expect((await fetch(`http://127.0.0.1:${node.port}/healthz`)).status).toBe(200);
    expect(await limited(node, 'limits.socketsPerAddress')).toBeGreaterThan(before);
  });
});

describe.skipIf(!hasOpenssl)('TLS handshakes without a request', () => {
  it('are as many in a second as an address may open sockets', async () => {
    const authority = new Authority('held sockets');
    const { certFile, keyFile } = authority.issue('node');
    const rate = { addressSocketsPerSecond: 1, addressSocketBurst: 10 };
    const node = await started(rate, { tls: { certFile, keyFile } });
    const shake = async (): Promise<boolean> => {
      const options = { host: '127.0.0.1', port: node.port, rejectUnauthorized: false };
      const socket = tlsConnect(options);
      const done = once(socket, 'secureConnect').then(() => true);
      const refused = once(socket, 'close').then(() => false);
      const isShaken = await Promise.race([done, refused]).catch(() => false);
      socket.destroy();
      return isShaken;
    };
    let shaken = 0;
    for (let n = 0; n < 15; n++) if (await shake()) shaken++;
    expect(shaken).toBeGreaterThanOrEqual(10);
    expect(shaken).toBeLessThan(15);
    await node.stop();
    authority.dispose();
  });
});
