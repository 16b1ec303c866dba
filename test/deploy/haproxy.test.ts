import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { HelloInfo } from '../../src/protocol/frames.ts';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { isOnPath } from '../support/on-path.ts';
import { freePort } from '../support/ports.ts';
import { waitFor, within } from '../support/wait.ts';

const CONFIG = fileURLToPath(new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url));
const hasHaproxy = isOnPath('haproxy', 'haproxy');

/** HAProxy with the configuration of the compose file, but for its ports, and nodes found by their ports in place of DNS. */
class Balancer {
  readonly url: string;
  /** Everything it logged. */
  log = '';
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.#child = child;
    child.stdout!.on('data', (text: Buffer) => {
      this.log += text.toString();
    });
    this.#folder = folder;
  }

  static async start(nodes: readonly NodeProcess[], env: Record<string, string> = {}): Promise<Balancer> {
    const [port, statistics] = [await freePort(), await freePort()];
    const servers = nodes.map(
      ({ url }, i) => `    server node${i} ${new URL(url).host.replace('localhost', '127.0.0.1')}`,
    );
    const config = readFileSync(CONFIG, 'utf8')
      .replace('bind :8080', `bind 127.0.0.1:${port}`)
      .replace('bind :8404', `bind 127.0.0.1:${statistics}`)
      .replace(/^ *server-template .*$/m, servers.join('\n'));
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-haproxy-'));
    writeFileSync(join(folder, 'haproxy.cfg'), config);
    const child = spawn('haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')], {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    process.once('exit', () => child.kill('SIGKILL'));
    const balancer = new Balancer(port, child, folder);
    await waitFor(async () => (await fetch(`${balancer.url}/readyz`)).status > 0, {
      for: 'HAProxy',
    });
    return balancer;
  }

  connect(): Promise<TestClient> {
    return TestClient.connect(`${this.url.replace('http', 'ws')}/ws`);
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    rmSync(this.#folder, { recursive: true });
  }
}

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
    await waitFor(async () => (await fetch(`${balancer!.url}/readyz`)).status === 503);
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
});
