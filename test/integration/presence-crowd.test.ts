/**
 * A crowd in one room that delivers events: everybody changes their data ten times a second. What each member is sent and what Redis
 * is asked is bounded, and all nodes agree afterwards. `PRESENCE_MEMBERS` and `PRESENCE_SECONDS` make it larger.
 */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame, JoinResult, Member, MembersResult } from '../../src/protocol/frames.ts';
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import { TestClient } from '../support/client.ts';
import { MemberList } from '../support/member-list.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const MEMBERS = Number(process.env.PRESENCE_MEMBERS ?? 90);
const SECONDS = Number(process.env.PRESENCE_SECONDS ?? 2);
const CHANGES_PER_SECOND = 10;
/** So that the bound is met with few members too. */
const BYTES_PER_SECOND = MEMBERS < 500 ? 16_384 : 65_536;
const NODES = 3;
const ROOM = 'crowd';

let redis: RedisServer;
let nodes: NodeProcess[];

beforeAll(async () => {
  redis = await RedisServer.start();
  nodes = await Promise.all(
    Array.from({ length: NODES }, () =>
      NodeProcess.start({
        flags: ['--redis', redis.url],
        env: {
          ROOMCAST_PRESENCE_DETAILED_MEMBERS: String(MEMBERS + NODES),
          ROOMCAST_PRESENCE_DATA_BYTES_PER_SECOND: String(BYTES_PER_SECOND),
          ROOMCAST_LIMITS_MEMBERS_PAGE: '100',
          ROOMCAST_ROOMS: JSON.stringify([{ match: ROOM, memberEvents: true }]),
        },
      }),
    ),
  );
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

/** A member that counts what it is sent, and does not read it: a thousand of them share this process. */
class Crowded {
  bytes = 0;
  readonly #socket: WebSocket;

  constructor(url: string) {
    this.#socket = new WebSocket(url, [SUBPROTOCOL.msgpack]);
    this.#socket.on('message', (message: Buffer) => {
      this.bytes += message.length;
    });
    this.#socket.on('error', () => undefined);
  }

  async join(): Promise<void> {
    await once(this.#socket, 'open');
    this.send(['join', 1, ROOM, { data: { n: 0 } }]);
  }

  send(frame: CommandFrame): void {
    this.#socket.send(encodeCommand(frame, 'msgpack'));
  }

  end(): void {
    this.#socket.terminate();
  }
}

async function allMembers(node: NodeProcess): Promise<Member[]> {
  const found: Member[] = [];
  let after: string | undefined = '';
  while (after !== undefined) {
    const answer = await fetch(`${node.url}/v1/rooms/${ROOM}/members?after=${after}`);
    const page = (await answer.json()) as MembersResult;
    found.push(...page.members);
    after = page.next;
  }
  return found;
}

/** Of one series, on all nodes. */
async function total(series: string): Promise<number> {
  const pages = await Promise.all(nodes.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
  return pages.reduce((sum, page) => sum + (readMetric(page, series) ?? 0), 0);
}

async function scripts(): Promise<number> {
  return redis.calls('evalsha');
}

it('is sent a bounded number of bytes, with a bounded number of calls, and all nodes agree', async () => {
  const watchers = await Promise.all(nodes.map(({ wsUrl }) => TestClient.connect(wsUrl)));
  for (const watcher of watchers) await watcher.ok<JoinResult>('join', ROOM, { members: true });
  const crowd: Crowded[] = [];
  for (let n = 0; n < MEMBERS; n++) {
    const one = new Crowded(nodes[n % NODES]!.wsUrl);
    crowd.push(one);
    await one.join();
  }
  const isThere = (watcher: TestClient) =>
    MemberList.from(ROOM, 1, watcher.frames).members.length === MEMBERS + NODES;
  for (const watcher of watchers)
    await waitFor(() => isThere(watcher), { timeoutMs: 60_000, intervalMs: 200 });

  const before = { scripts: await scripts(), published: await redis.calls('publish') };
  const cpuBefore = process.cpuUsage();
  const nodesBefore = await total('process_cpu_seconds_total');
  for (const one of crowd) one.bytes = 0;
  const startedMs = performance.now();
  let sent = 0;
  for (let tick = 1; tick <= SECONDS * CHANGES_PER_SECOND; tick++) {
    for (const [n, one] of crowd.entries()) one.send(['presence', 0, ROOM, { n: tick, x: n, y: tick * 3 }]);
    sent += crowd.length;
    const dueMs = startedMs + (tick * 1000) / CHANGES_PER_SECOND;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const perMember = crowd.map(({ bytes }) => bytes);
  const cpuNodes = (await total('process_cpu_seconds_total')) - nodesBefore;
  const calls = (await scripts()) - before.scripts;
  const published = (await redis.calls('publish')) - before.published;

  const isLatest = ({ data }: Member) =>
    (data as { n: number } | undefined)?.n === SECONDS * CHANGES_PER_SECOND;
  const hasLatest = (members: readonly Member[]) => members.filter(isLatest).length === MEMBERS;
  for (const node of nodes)
    await waitFor(async () => hasLatest(await allMembers(node)), { timeoutMs: 5_000 });
  const settleMs = Math.ceil((MEMBERS * 150_000) / BYTES_PER_SECOND) + 10_000;
  for (const watcher of watchers) {
    const settled = () => hasLatest(MemberList.from(ROOM, 1, watcher.frames).members);
    await waitFor(settled, { timeoutMs: settleMs, intervalMs: 200, for: 'a watcher to have the latest' });
    expect(MemberList.from(ROOM, 1, watcher.frames).members).toEqual(await allMembers(nodes[0]!));
  }

  const most = Math.max(...perMember);
  const series = 'roomcast_presence_data_pushes_total';
  const [toldNow, merged] = [await total(`${series}{step="told"}`), await total(`${series}{step="merged"}`)];
  const { user, system } = process.cpuUsage(cpuBefore);
  console.log(
    `${MEMBERS} members, ${sent} changes in ${seconds.toFixed(1)} s: ${Math.round(most / seconds)} bytes/s to each member at most ` +
      `(budget ${BYTES_PER_SECOND}), ${(calls / seconds).toFixed(0)} script calls/s and ${(published / seconds).toFixed(0)} PUBLISH/s of ${NODES} nodes; ` +
      `pushes told ${toldNow}, merged ${merged}; CPU of all nodes ${(cpuNodes * 1000).toFixed(0)} ms; driver CPU ${Math.round((user + system) / 1000)} ms`,
  );
  // A second's worth at once, then the rate; and less than a frame over it.
  expect(most).toBeLessThanOrEqual(BYTES_PER_SECOND * (seconds + 1) + 1_000);
  // Each node writes at most once in a window for 256 members, and renews its lease.
  const windows = Math.ceil(seconds * 10) + 2;
  const callsPerWindow = Math.ceil(MEMBERS / NODES / 256) + 1;
  expect(calls).toBeLessThanOrEqual(NODES * (windows * callsPerWindow + seconds * 3));
  for (const one of crowd) one.end();
  await Promise.all(watchers.map((watcher) => watcher.close()));
}, 300_000);
