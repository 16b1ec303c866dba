/**
 * Half a million inputs under `npm run test:long` (`HOSTILE_INPUTS`), a few thousand otherwise. `CHAOS_SEED` sends those of
 * another run again: what an input is depends on the seed and its number alone.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HostileDriver } from '../../bench/hostile/driver.ts';
import { Counted, disagreements, readExposition } from '../../bench/hostile/ledger.ts';
import { hostileEnv } from '../../bench/hostile/rooms.ts';
import { HostileTokens, tokenKeys } from '../../bench/hostile/tokens.ts';
import { expectFlawless } from '../support/checker.ts';
import { Crowd } from '../support/crowd.ts';
import { NodeProcess } from '../support/node-process.ts';
import { chaosSeed } from '../support/random.ts';
import { request } from '../support/raw-http.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const INPUTS = Number(process.env.HOSTILE_INPUTS ?? 4_000);
/** Before the first look at the memory: code is compiled, and buffers have their size. */
const WARM_UP = Math.ceil(INPUTS / 4);
/** Before the two looks nothing is open, and garbage is collected: what is more by then stays. */
const MAY_GROW_BYTES = 2_000_000;
const PROBE = new URL('../../bench/hostile/memory-probe.mjs', import.meta.url).href;

let redis: RedisServer;
let node: NodeProcess;
let dir: string;
const keys = tokenKeys();
const seed = chaosSeed();
const tokens = new HostileTokens(keys, Math.floor(Date.now() / 1000));

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roomcast-hostile-'));
  writeFileSync(join(dir, 'public.pem'), keys.publicPem);
  redis = await RedisServer.start();
  const env = { ...hostileEnv(join(dir, 'public.pem')), NODE_OPTIONS: `--import=${PROBE}` };
  node = await NodeProcess.start({ flags: ['--redis', redis.url], env, asInstalled: true });
});

afterAll(async () => {
  await node.stop();
  await redis.dispose();
  rmSync(dir, { recursive: true });
});

let scrapes = 0;

/** Each on a connection of its own. */
async function scrape(): Promise<Map<string, number>> {
  scrapes++;
  const { body } = await request(node.url, { path: '/metrics', headers: ['Connection: close'] });
  return readExposition(body);
}

/** Files that the node holds open: sockets, links to Redis, logs. */
function openFiles(): number {
  return readdirSync(`/proc/${node.pid}/fd`).length;
}

let looks = 0;

async function bytesInUse(): Promise<number> {
  const number = ++looks;
  process.kill(node.pid, 'SIGUSR2');
  const record = await node.logged(({ event, number: one }) => event === 'memory' && one === number);
  return Number(record.bytes);
}

/** What the node holds for the connections that are open. */
const HELD = [
  ...['msgpack', 'json', 'sse'].map((encoding) => `roomcast_connections{encoding="${encoding}"}`),
  ...['roomcast_rooms', 'roomcast_memberships', 'roomcast_catching_up_members', 'roomcast_reads_waiting'],
];

describe(`${INPUTS} hostile inputs (seed ${seed})`, { timeout: 120_000 + INPUTS }, () => {
  it('leave the node alive and no larger, each is counted, and nobody else notices', async () => {
    const { hostname: host, port } = new URL(node.url);
    const target = { host, port: Number(port) };
    const crowd = await Crowd.gather({
      room: 'chaos:hostile',
      urls: [node.wsUrl],
      members: [2],
      publishers: [0],
    });
    crowd.publish(100);
    await crowd.heard(50);
    const files = openFiles();
    const start = await scrape();
    const quietMs = crowd.p99Ms(crowd.members, 0);
    const warmUp = new HostileDriver({ target, seed, tokens, perSecond: null });
    await warmUp.run(0, WARM_UP);
    const bytesBefore = await bytesInUse();

    const calm = crowd.acknowledged.length;
    const driver = new HostileDriver({ target, seed, tokens, perSecond: null });
    const { ledger } = driver;
    const before = await scrape();
    const first = scrapes;
    const beganAtMs = performance.now();
    await driver.run(WARM_UP, INPUTS - WARM_UP);
    const seconds = (performance.now() - beganAtMs) / 1000;
    const meanwhileMs = crowd.p99Ms(crowd.members, calm);

    // What was said is counted by now. Sockets that were reset are seen a moment later, and rooms outlive their members.
    await waitFor(
      async () => {
        const now = await scrape();
        return HELD.every((series) => now.get(series) === start.get(series));
      },
      { timeoutMs: 30_000, intervalMs: 200, for: `${HELD} to be what they were` },
    );
    await waitFor(() => openFiles() <= files, { for: 'files to be closed' });
    const after = await scrape();
    const own = { requests: scrapes - first, sockets: scrapes - first };
    const bytesAfter = await bytesInUse();
    const figures = [
      `${ledger.sent} inputs, ${Math.round(ledger.sent / seconds)} a second`,
      `bystander p99 ${quietMs.toFixed(1)} ms before, ${meanwhileMs.toFixed(1)} ms meanwhile`,
      `${bytesBefore} bytes before, ${bytesAfter - bytesBefore} more after`,
    ];
    const verdict = await crowd.conclude(`hostile input (seed ${seed})`, () => figures.join('; '));
    expect(ledger.sent).toBe(INPUTS - WARM_UP);
    expect(disagreements(ledger, new Counted(before, after), own)).toEqual([]);
    expect(bytesAfter - bytesBefore).toBeLessThan(MAY_GROW_BYTES);
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await crowd.disperse();
  });
});
