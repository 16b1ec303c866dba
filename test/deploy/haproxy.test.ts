import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HelloInfo } from '../../src/protocol/frames.ts';
import { Balancer, HAPROXY_CONFIG as CONFIG, hasHaproxy } from '../support/balancer.ts';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { EventReader, StreamRefused } from '../support/events.ts';
import { NodeProcess } from '../support/node-process.ts';
import { untilReadyz } from '../support/readyz.ts';
import { waitFor, within } from '../support/wait.ts';

let balancer: Balancer | null = null;
const nodes: NodeProcess[] = [];

async function startNode(env: Record<string, string> = {}): Promise<NodeProcess> {
  const node = await NodeProcess.start({ env });
  nodes.push(node);
  return node;
}

afterEach(async () => {
  await balancer?.stop();
  balancer = null;
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
});

/** The refusal that a connection meets. */
async function refusal(): Promise<UpgradeRefused> {
  const outcome = await balancer!.connect().catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(UpgradeRefused);
  return outcome as UpgradeRefused;
}

const UPGRADE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** The first line of the answer to a GET with these header lines. */
function firstLine(url: string, path: string, headers: readonly string[]): Promise<string> {
  const { hostname, port, host } = new URL(url);
  const answered = new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString().split('\r\n', 1)[0]!);
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(''));
    socket.write([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, '', ''].join('\r\n'));
  });
  return within(5000, `an answer for ${path}`, answered);
}

describe.skipIf(!hasHaproxy)('haproxy.cfg', () => {
  it('is valid', () => {
    const { status, stderr } = spawnSync('haproxy', ['-c', '-f', CONFIG], { encoding: 'utf8' });
    expect({ status, stderr }).toMatchObject({ status: 0 });
  });

  it('spreads connections over the nodes', async () => {
    balancer = await Balancer.start([await startNode(), await startNode(), await startNode()]);
    const hellos: HelloInfo[] = [];
    for (let i = 0; i < 6; i++) hellos.push(await (await balancer.connect()).hello());
    expect(new Set(hellos.map(({ node }) => node)).size).toBe(3);
  });

  it('takes a connection that one node refuses with 503 to another, unseen by the client', async () => {
    const full = await startNode({ ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '1' });
    balancer = await Balancer.start([full, await startNode()]);
    const hellos: HelloInfo[] = [];
    for (let i = 0; i < 8; i++) hellos.push(await (await balancer.connect()).hello());
    const ofFirst = hellos.filter(({ node }) => node === hellos[0]!.node).length;
    expect([ofFirst, 8 - ofFirst].sort()).toEqual([1, 7]);
    const metrics = await (await fetch(`${full.url}/metrics`)).text();
    expect(metrics).toMatch(/roomcast_upgrades_rejected_total\{reason="limit"\} [1-9]/);
  });

  it('takes a connection that a killed node cannot answer to another', async () => {
    const [first, second] = [await startNode(), await startNode()];
    balancer = await Balancer.start([first, second]);
    await first.kill();
    const clients = await Promise.all([1, 2, 3, 4].map(() => balancer!.connect()));
    expect(clients).toHaveLength(4);
  });

  it('finds the third node when of two one was killed and the other refuses', async () => {
    const [full, good] = [await startNode({ ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '1' }), await startNode()];
    const killed = await startNode();
    balancer = await Balancer.start([full, good, killed]);
    for (let i = 0; i < 6; i++) await (await balancer.connect()).hello();
    await killed.kill();
    const hellos: HelloInfo[] = [];
    for (let i = 0; i < 4; i++) hellos.push(await (await balancer.connect()).hello());
    expect(new Set(hellos.map(({ node }) => node)).size).toBe(1);
  });

  it('hands out what a node says when all refuse', async () => {
    balancer = await Balancer.start([await startNode({ ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '1' })]);
    await (await balancer.connect()).hello();
    const { status, headers } = await refusal();
    expect(status).toBe(503);
    expect(headers['retry-after']).toBe('5');
  });

  it('says when there is no node, to clients and to whoever watches it', async () => {
    const node = await startNode();
    balancer = await Balancer.start([node]);
    expect((await fetch(`${balancer.url}/readyz`)).status).toBe(200);
    await node.kill();
    await untilReadyz(balancer.url, 503);
    const response = await fetch(`${balancer.url}/`);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await response.json()).toEqual({ error: { code: 'unavailable', message: 'no node is ready' } });
  });

  it('answers 429 to an address that asks for too many connections', async () => {
    balancer = await Balancer.start([await startNode()], { UPGRADES_PER_10S: '3' });
    for (let i = 0; i < 3; i++) await balancer.connect();
    const { status, headers } = await refusal();
    expect(status).toBe(429);
    expect(headers['retry-after']).toBe('5');
    // Connections are counted, requests are not.
    expect((await fetch(`${balancer.url}/healthz`)).status).toBe(200);
  });

  it.each([
    ['another Upgrade', 'Upgrade: foo'],
    ['several Upgrades', 'Upgrade: foo, websocket'],
    ['no Upgrade', 'Connection: keep-alive'],
  ])('counts connections by their path, also with %s', async (_, header) => {
    balancer = await Balancer.start([await startNode()], { UPGRADES_PER_10S: '3' });
    const headers = [header, ...UPGRADE.slice(2)];
    for (let i = 0; i < 4; i++) await firstLine(balancer.url, '/ws', headers);
    expect((await refusal()).status).toBe(429);
    expect((await fetch(`${balancer.url}/healthz`)).status).toBe(200);
  });

  it('counts connections whose URL is written out whole, and with a query', async () => {
    balancer = await Balancer.start([await startNode()], { UPGRADES_PER_10S: '3' });
    const { host } = new URL(balancer.url);
    for (const path of ['/ws?a', `http://${host}/ws`, `http://${host}/ws?b=/x`, '/ws'])
      await firstLine(balancer.url, path, UPGRADE);
    expect((await refusal()).status).toBe(429);
  });

  it('logs the path and never the query, where tokens are', async () => {
    const node = await startNode();
    balancer = await Balancer.start([node]);
    await node.kill();
    const { host } = new URL(balancer.url);
    const paths = ['/ws?token=a-secret', `http://${host}/ws?token=a-secret`, '/ws?token=a-secret\u0001'];
    const lines = async () => {
      for (const path of paths) await firstLine(balancer!.url, path, UPGRADE);
      return balancer!.log.match(/ 503 .* GET \/ws HTTP\/1\.1$/gm);
    };
    // Until it has noticed that the node is gone, it retries.
    await waitFor(async () => ((await lines())?.length ?? 0) >= 2, { for: 'lines in the log' });
    expect(balancer.log).not.toMatch(/secret|token/);
  });

  it('lets headers through that a node takes, and the node refuses the rest', async () => {
    balancer = await Balancer.start([await startNode()]);
    expect(await firstLine(balancer.url, '/healthz', [`Cookie: ${'x'.repeat(15_900)}`])).toContain(' 200 ');
    expect(await firstLine(balancer.url, '/healthz', [`Cookie: ${'x'.repeat(16_400)}`])).toContain(' 431 ');
  });

  it('tells nodes the address of the client, whatever it says itself, and a node without a key does not take it for local', async () => {
    const node = await startNode({ ROOMCAST_LOG_LEVEL: 'debug', ROOMCAST_TRUST_PROXY: 'loopback' });
    balancer = await Balancer.start([node]);
    const client = await TestClient.connect(`${balancer.url.replace('http', 'ws')}/ws`, {
      headers: { 'X-Forwarded-For': '198.51.100.7' },
    });
    client.send(Uint8Array.of(0xc1));
    expect((await node.logged(({ msg }) => msg === 'undecodable message')).address).toBe('127.0.0.1');
    expect((await fetch(`${balancer.url}/v1/nodes`)).status).toBe(403);
    expect((await fetch(`${node.url}/v1/nodes`)).status).toBe(200);
  });

  it('keeps metrics to the inside', async () => {
    balancer = await Balancer.start([await startNode()]);
    expect((await fetch(`${balancer.url}/metrics`)).status).toBe(404);
  });

  it('passes event streams on as they come, and keeps quiet ones', async () => {
    const node = await startNode({ ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000' });
    // Shorter than this test, longer than a heartbeat; as the real ones are.
    balancer = await Balancer.start([node], {}, (config) =>
      config.replace(/timeout (client|server) 60s/g, 'timeout $1 2500ms'),
    );
    const reader = await EventReader.open(`${balancer.url}/v1/rooms/hall/events?last=0`);
    await waitFor(() => reader.comments > 5, { timeoutMs: 15_000 });
    expect(reader.whole).toBeNull();
    for (const data of [1, 2, 3]) {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify({ data });
      await fetch(`${balancer.url}/v1/rooms/hall/messages`, { method: 'POST', headers, body });
      await reader.heard(data);
    }
    expect(reader.messages).toEqual([1, 2, 3]);
    reader.close();
    // HAProxy notices at the next heartbeat.
    const open = /^roomcast_connections\{encoding="sse"\} 0$/m;
    await waitFor(async () => open.test(await (await fetch(`${node.url}/metrics`)).text()));
  });

  it('takes an event stream that one node refuses with 503 to another, and counts it as a connection', async () => {
    const full = await startNode({ ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '1' });
    balancer = await Balancer.start([full, await startNode()], { UPGRADES_PER_10S: '6' });
    const readers: EventReader[] = [];
    for (let i = 0; i < 3; i++) {
      readers.push(await EventReader.open(`${balancer.url}/v1/rooms/hall/events`));
      const body = { rooms: [{ room: 'hall' }] };
      readers.push(await EventReader.open(`${balancer.url}/v1/events`, { body }));
    }
    for (const path of ['/v1/rooms/hall/events', '/v1/events']) {
      const refusal = await EventReader.open(balancer.url + path).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(StreamRefused);
      expect((refusal as StreamRefused).status).toBe(429);
    }
    expect((await refusal()).status).toBe(429);
    expect((await fetch(`${balancer.url}/healthz`)).status).toBe(200);
    for (const reader of readers) reader.close();
  });
});
