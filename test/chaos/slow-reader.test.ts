import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Crowd, HANGS_MS } from '../support/crowd.ts';
import { useCluster } from '../support/use-cluster.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1_048_576;
const MESSAGE = Buffer.alloc(16 * 1024, 'x');
/** 100 MB in messages of 16 KiB. */
const STALLED_MESSAGES = Math.ceil(100_000_000 / MESSAGE.length);
const PER_SECOND = 500;
/** More than the kernel holds for one socket, whose receive buffer grows to 32 MiB where the system lets it. */
const ENOUGH_MESSAGES = 3_000;

const ROOMS = [
  { match: 'deep:*', history: { messages: 20_000 } },
  { match: 'shallow:*', history: { messages: 100 } },
  { match: 'ticker:*', slowReaders: 'latest', history: { messages: 5_000 } },
  { match: 'strict:*', slowReaders: 'disconnect', history: { messages: 5_000 } },
];

const used = useCluster({ nodes: 1, env: { ROOMCAST_ROOMS: JSON.stringify(ROOMS) } });

function gather(room: string): Promise<Crowd> {
  return Crowd.gather({ room, urls: used.cluster.urls, members: [4], publishers: [0] });
}

interface Stall {
  readonly grownBytes: number;
  readonly p99Ms: number;
  readonly p99BeforeMs: number;
}

/** The first member stops reading while that many messages pass. It goes on to read when this resolves. */
async function stall(crowd: Crowd, messages: number): Promise<Stall> {
  const [slow, ...others] = crowd.members as [Crowd['members'][0], ...Crowd['members']];
  let most = await used.cluster.residentBytes(0);
  const sampling = setInterval(async () => {
    most = Math.max(most, await used.cluster.residentBytes(0));
  }, 50);
  crowd.publish(PER_SECOND, MESSAGE);
  await crowd.heard(1_000);
  const first = crowd.acknowledged.length;
  // Garbage of the same load, which comes and goes, is not what is asked about.
  const usual = most;
  slow.socket.pause();
  await crowd.heard(messages, 100_000);
  clearInterval(sampling);
  const last = crowd.acknowledged.length;
  await crowd.quiet();
  slow.socket.resume();
  return {
    grownBytes: most - usual,
    p99Ms: crowd.p99Ms(others, first, last),
    p99BeforeMs: crowd.p99Ms(others, 300, first),
  };
}

/** Nobody else waits for the one that does not read. */
function expectUnaffected({ p99Ms }: Stall): void {
  expect(p99Ms).toBeLessThan(HANGS_MS);
}

function inWords({ grownBytes, p99Ms, p99BeforeMs }: Stall): string {
  const latency = `p99 of the others ${p99BeforeMs.toFixed(1)} ms before, ${p99Ms.toFixed(1)} ms meanwhile`;
  return `node grew by ${(grownBytes / MIB).toFixed(1)} MiB, ${latency}`;
}

// First: these take the node through the load that the memory is compared under.
describe('a member that stops reading', { timeout: 120_000 }, () => {
  it('skips to the newest message where the rule says latest', async () => {
    const crowd = await gather('ticker:slow');
    const stalled = await stall(crowd, ENOUGH_MESSAGES);
    const verdict = await crowd.conclude('slow reader, latest', () => inWords(stalled));
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict.gaps).toBeGreaterThan(0);
    const slow = crowd.members[0]!.log(crowd.room);
    expect(slow.count('gap')).toBe(verdict.gaps);
    // The last one before the silence, which it could not read then, it is given in the end.
    const last = slow.marks.findLast(({ event: { kind } }) => kind === 'gap')!;
    expect(slow.offsets[last.at]).toBe((last.event as { to: number }).to + 1);
    expect(await used.cluster.metric(0, 'roomcast_slow_readers_total{policy="latest"}')).toBeGreaterThan(0);
  });

  it('is closed with 4008 where the rule says disconnect, and recovers what it missed', async () => {
    const crowd = await gather('strict:slow');
    await stall(crowd, ENOUGH_MESSAGES);
    const slow = crowd.members[0]!;
    await waitFor(() => slow.closes.size > 0, { for: 'the slow reader to be closed' });
    const verdict = await crowd.conclude(
      'slow reader, disconnect',
      () => `closes ${[...slow.closes.keys()]}`,
    );
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
    expect([...slow.closes.keys()]).toEqual([4008]);
    for (const other of crowd.members.slice(1)) expect(other.connections).toBe(1);
    await crowd.disperse();
  });
});

describe('a member that stops reading while 100 MB pass through its room', { timeout: 120_000 }, () => {
  it('costs the node less than 32 MiB and the others nothing, and gets it all from history', async () => {
    const crowd = await gather('deep:100-mb');
    const stalled = await stall(crowd, STALLED_MESSAGES);
    const verdict = await crowd.conclude('slow reader, deep history', () => inWords(stalled));
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
    // Not by coming back: it was never closed.
    for (const { connections } of crowd.members) expect(connections).toBe(1);
    expect(stalled.grownBytes).toBeLessThan(32 * MIB);
    expectUnaffected(stalled);
    expect(await used.cluster.metric(0, 'roomcast_slow_readers_total{policy="resume"}')).toBeGreaterThan(0);
  });

  it('is told of a gap where history no longer reaches, and gets what it holds', async () => {
    const crowd = await gather('shallow:100-mb');
    const stalled = await stall(crowd, STALLED_MESSAGES);
    const verdict = await crowd.conclude('slow reader, shallow history', () => inWords(stalled));
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict.gaps).toBe(1);
    const slow = crowd.members[0]!.log(crowd.room);
    const { event } = slow.marks.find(({ event: { kind } }) => kind === 'gap')!;
    const { offset } = crowd.acknowledged.at(-1)!;
    // All of the hundred that history holds, and the last message.
    expect(event).toMatchObject({ to: expect.any(Number) });
    expect((event as { to: number }).to).toBeLessThanOrEqual(offset - 100);
    expect(stalled.grownBytes).toBeLessThan(32 * MIB);
    expectUnaffected(stalled);
  });
});

describe('members that stop reading, when they are too many', { timeout: 120_000 }, () => {
  const few = useCluster({
    nodes: 1,
    env: { ROOMCAST_ROOMS: JSON.stringify(ROOMS), ROOMCAST_LIMITS_UNREAD_BYTES: `${2 * MIB}` },
  });

  it('are dropped, the fullest first, and get what they missed from history', async () => {
    const members = [6];
    const crowd = await Crowd.gather({ room: 'deep:many', urls: few.cluster.urls, members, publishers: [0] });
    const slow = crowd.members.slice(0, 4);
    crowd.publish(PER_SECOND, MESSAGE);
    await crowd.heard(100);
    for (const { socket } of slow) socket.pause();
    const dropped = () => few.cluster.metric(0, 'roomcast_limited_total{limit="limits.unreadBytes"}');
    await waitFor(async () => (await dropped()) > 0, { timeoutMs: 60_000, for: 'one to be dropped' });
    await crowd.quiet();
    for (const { socket } of slow) socket.resume();
    const verdict = await crowd.conclude('slow readers, too many');
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
    expect(slow.some(({ connections }) => connections > 1)).toBe(true);
    for (const { connections } of crowd.members.slice(4)) expect(connections).toBe(1);
  });
});
