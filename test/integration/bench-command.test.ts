import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noteProcess } from '../support/leftovers.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token as signToken } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Bench {
  readonly ended: Promise<Outcome>;
  interrupt(): void;
}

/** The built program as a group of processes of its own, as a shell would run it. */
function startBench(args: readonly string[]): Bench {
  const { PATH = '', HOME = '' } = process.env;
  const options = { env: { PATH, HOME }, detached: true };
  const child = spawn(process.execPath, [MAIN, 'bench', ...args], options);
  if (child.pid !== undefined) noteProcess(child.pid, MAIN);
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    said.stdout += text;
  });
  child.stderr.on('data', (text) => {
    said.stderr += text;
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, ...said }));
  });
  // Ctrl-C reaches the driver's processes too.
  return { ended, interrupt: () => process.kill(-child.pid!, 'SIGINT') };
}

function bench(...args: readonly string[]): Promise<Outcome> {
  return startBench(args).ended;
}

/** What the tests look at of a result as JSON. */
interface Result {
  readonly clean: boolean;
  readonly published: number;
  readonly delivered: number;
  readonly unnumbered: number;
  readonly lost: number;
  readonly [name: string]: unknown;
}

async function measured(...args: readonly string[]): Promise<{ status: number | null; result: Result }> {
  const { status, stdout, stderr } = await bench(...args, '--json');
  expect(stderr).toBe('');
  return { status, result: JSON.parse(stdout) as Result };
}

const SHORT = ['--seconds', '1', '--warm-up', '0.2'];

describe('roomcast bench', () => {
  let node: NodeProcess;
  const url = () => node.wsUrl;

  beforeAll(async () => {
    node = await NodeProcess.start({
      flags: ['--host', '127.0.0.1'],
      env: {
        // A few members go far beyond what one connection may send.
        ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
        ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
        ROOMCAST_ROOMS: '[{"match": "forgetful:*", "history": false}]',
      },
    });
  });

  afterAll(() => node.stop());

  const connections = async () => {
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    return Number(/^roomcast_connections\{encoding="msgpack"\} (\d+)$/m.exec(metrics)?.[1]);
  };

  it('finds every publish with every member, and exits with 0', async () => {
    const { status, stdout, stderr } = await bench(url(), '--members', '20', '--rooms', '2', ...SHORT);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('2 rooms of 20 members, 20 publishers each, 128 bytes, 64 in flight, msgpack');
    expect(stdout).toMatch(/^connections {2}40 open in /m);
    expect(stdout).toMatch(/^checked {6}lost 0, repeated 0, out of order 0\nerrors {7}0$/m);
  });

  it.each([
    ['two processes', ['--processes', '2', '--rooms', '3', '--members', '11']],
    ['two processes of which one has no publisher', ['--processes', '2', '--rate', '50']],
    ['publishers from outside', ['--processes', '2', '--rooms', '2', '--outside', '--publishers', '2']],
    ['JSON', ['--encoding', 'json', '--rooms', '3', '--payload', '20']],
    ['one payload of many bytes', ['--payload', '30000', '--members', '3']],
  ])('delivers publishes times members with %s', async (_, args) => {
    const { status, result } = await measured(url(), '--members', '10', ...args, ...SHORT);
    const { membersPerRoom } = result.shape as { membersPerRoom: number };
    expect(result).toMatchObject({
      clean: true,
      ended: null,
      lost: 0,
      repeated: 0,
      outOfOrder: 0,
      errors: 0,
    });
    expect(result.published).toBeGreaterThan(0);
    expect(result.delivered).toBe(result.published * membersPerRoom);
    expect(result.acknowledged).toBe(result.published);
    expect(status).toBe(0);
  });

  it('publishes at the rate that was asked for', async () => {
    const { result } = await measured(url(), '--members', '5', '--rate', '100', ...SHORT);
    expect(result.published).toBeGreaterThanOrEqual(95);
    expect(result.published).toBeLessThanOrEqual(105);
    expect(result.shape).toMatchObject({ publishersPerRoom: 1, load: { kind: 'open', perSecond: 100 } });
  });

  it('delivers all to members whose links were cut', async () => {
    const { status, result } = await measured(url(), '--members', '20', '--cut', '--seconds', '4');
    expect(result).toMatchObject({ clean: true, deliveredShare: 1, lost: 0, cut: { back: 20 } });
    expect(status).toBe(0);
  });

  it('says what a cut costs where nothing is kept', async () => {
    const rooms = ['--room-prefix', 'forgetful:', '--members', '5'];
    const { status, stdout } = await bench(url(), ...rooms, '--cut', '--seconds', '3', '--warm-up', '0');
    expect(stdout).toMatch(/^cut .*[0-9]% delivered; without history/m);
    expect(stdout).not.toContain('; 100% delivered');
    expect(status).toBe(1);
  });

  it('does not take rooms without history for rooms out of order', async () => {
    const rooms = ['--room-prefix', 'forgetful:', '--members', '5', ...SHORT];
    const { status, result } = await measured(url(), ...rooms);
    expect(result).toMatchObject({ clean: true, lost: 0, errors: 0, unnumbered: result.delivered });
    expect(status).toBe(0);
    expect((await bench(url(), ...rooms)).stdout).toContain(
      "lost 0; no history: checked against each publisher's count",
    );
  });

  it('ends at once where the node limits what a connection sends, and says what to do', async () => {
    const limited = await NodeProcess.start({ flags: ['--host', '127.0.0.1'] });
    try {
      const { status, stdout } = await bench(limited.wsUrl, '--members', '1', '--warm-up', '0');
      expect(stdout).toMatch(/^errors .*rate_limited.* -> .*--publishers.*limits\.commandsPerSecond/m);
      expect(stdout).toContain('ended early: rate limited');
      expect(status).toBe(1);
    } finally {
      await limited.stop();
    }
  });

  it('reports what was measured when it is interrupted, and leaves no connection', async () => {
    const running = startBench([url(), '--members', '33', '--seconds', '60', '--warm-up', '0', '--json']);
    await waitFor(async () => (await connections()) === 33);
    const published = async () =>
      (await (await fetch(`${node.url}/metrics`)).text()).match(/accepted_total.* (\d+)/);
    const before = Number((await published())?.[1]);
    await waitFor(async () => Number((await published())?.[1]) > before + 100);
    running.interrupt();
    const { status, stdout } = await running.ended;
    expect(JSON.parse(stdout)).toMatchObject({ clean: true, ended: 'interrupted', lost: 0 });
    expect(status).toBe(0);
    await waitFor(async () => (await connections()) === 0);
  });

  it('measures nothing when it is interrupted before everyone is there', async () => {
    const running = startBench([url(), '--connect-rate', '5']);
    await waitFor(async () => (await connections()) >= 2);
    running.interrupt();
    const { status, stdout, stderr } = await running.ended;
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('interrupted: not all connections were open, nothing was measured');
    await waitFor(async () => (await connections()) === 0);
  });

  it.each([
    ['/elsewhere', / 404 .*check the path/],
    ['', /closed a connection.*wss:\/\/|no TLS there/],
  ])('says what is wrong with a URL that ends in "%s"', async (path, says) => {
    const wrong = path === '' ? url().replace('ws:', 'wss:') : `${node.url}${path}`;
    const { status, stderr } = await bench(wrong);
    expect(status).toBe(1);
    expect(stderr).toMatch(says);
  });

  it('says that nothing is there', async () => {
    const { status, stdout, stderr } = await bench(`http://127.0.0.1:${await freePort()}`);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/ECONNREFUSED.* -> nothing listens there/);
  });
});

describe('roomcast bench, on a cluster that asks for tokens', () => {
  let redis: RedisServer;
  let nodes: NodeProcess[];

  beforeAll(async () => {
    redis = await RedisServer.start();
    const start = () =>
      NodeProcess.start({
        flags: ['--host', '127.0.0.1', '--redis', redis.url],
        env: { ROOMCAST_AUTH_SECRET: SECRET },
      });
    nodes = await Promise.all([start(), start()]);
  });

  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.dispose();
  });

  it('deals members out to the nodes, and all get everything, cut off or not', async () => {
    const urls = nodes.map(({ wsUrl }) => wsUrl);
    const args = ['--token', await signToken({ sub: 'ann' }), '--members', '10'];
    const { status, result } = await measured(...urls, ...args, '--cut', '--seconds', '4');
    expect(result).toMatchObject({ clean: true, lost: 0, deliveredShare: 1, cut: { back: 10 } });
    expect(status).toBe(0);
    for (const { url } of nodes) {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(Number(/opened_total\{encoding="msgpack"\} (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(5);
    }
  });

  it.each([
    ['a token that is refused', ['--token', 'not-a-token'], / 401 .*--token/],
    ['no token', [], /unauthorized.*--token/],
  ])('says so with %s', async (_, args, says) => {
    const { status, stdout, stderr } = await bench(nodes[0]!.wsUrl, ...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(says);
    expect(stderr).not.toContain('not-a-token');
  });
});
