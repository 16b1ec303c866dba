import { describe, expect, it } from 'vitest';
import type { MessageFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay, waitFor } from '../support/wait.ts';

const ROOMS = [
  { match: 'shallow:*', history: { messages: 50 } },
  { match: 'live:*', history: false },
];
const used = useCluster({ env: { ROOMCAST_ROOMS: JSON.stringify(ROOMS) } });

const USERS = 20;
const PER_SECOND = 30;
/** How long the reader pauses. `CURSORS_SECONDS=10` for more than fits into every run. */
const SECONDS = Number(process.env.CURSORS_SECONDS ?? 3);
const UPDATES = SECONDS * PER_SECOND;
/** Large enough that a few fill what the kernel holds for a socket. */
const BALLAST = 'x'.repeat(60_000);

interface Cursor {
  readonly user: number;
  readonly step: number;
}

function isCursor(frame: ServerFrame): frame is MessageFrame {
  return frame[0] === 'message' && typeof frame[5] === 'object';
}

const cursorsOf = ({ frames }: TestClient) => frames.filter(isCursor).map((frame) => frame[5] as Cursor);

/** Publishes what takes its own place until the node has taken a reader off its topics. */
async function fillUntilSlow(publisher: TestClient, room: string): Promise<void> {
  const before = await slowReaders();
  while ((await slowReaders()) === before) {
    const sent = Array.from({ length: 20 }, () =>
      publisher.ok('publish', room, BALLAST, { conflateKey: 'ballast' }),
    );
    await Promise.all(sent);
  }
}

const slowReaders = () => used.cluster.metric(0, 'roomcast_slow_readers_total{policy="resume"}');

/** Every user moves a cursor for some seconds. Each has a connection of its own, on all nodes by turns. */
async function moveCursors(users: readonly TestClient[], room: string): Promise<void> {
  for (let step = 1; step <= UPDATES; step++) {
    for (const [user, one] of users.entries()) {
      one.sendCommand(['publish', 0, room, { user, step }, { conflateKey: 'cursor' }]);
    }
    await delay(1000 / PER_SECOND);
  }
}

describe(`twenty users move cursors while a reader is paused for ${SECONDS} s`, { timeout: 90_000 }, () => {
  it.each([
    ['deep:cursors', 'deeper than the pause'],
    ['shallow:cursors', 'of fifty messages'],
    ['live:cursors', 'of nothing'],
  ])('in %s, with a history %s, it then has the newest of each, and no other', async (room) => {
    const { urls } = used.cluster;
    const paused = await TestClient.connect(urls[0]!);
    const observer = await TestClient.connect(urls[1]!);
    await Promise.all([paused, observer].map((one) => one.ok('join', room)));
    const users = await Promise.all(
      Array.from({ length: USERS }, (_, i) => TestClient.connect(urls[i % urls.length]!)),
    );
    paused.socket.pause();
    await fillUntilSlow(users[0]!, room);
    await moveCursors(users, room);
    // Something takes its place as well: what nothing replaced would be loss where history is short.
    await users[0]!.ok('publish', room, 'no ballast', { conflateKey: 'ballast' });
    await waitFor(() => cursorsOf(observer).length === USERS * UPDATES, {
      for: 'all cursors at the observer',
      timeoutMs: 20_000,
    });
    paused.socket.resume();
    const isLast = ({ step }: Cursor) => step === UPDATES;
    await waitFor(() => cursorsOf(paused).filter(isLast).length === USERS, {
      for: 'the newest cursor of each user',
      timeoutMs: 20_000,
    });
    // Live delivery goes on where that ended.
    await users[0]!.ok('publish', room, { user: 0, step: UPDATES + 1 }, { conflateKey: 'cursor' });
    await waitFor(() => cursorsOf(paused).some(({ step }) => step > UPDATES));
    const told = cursorsOf(paused);
    expect(told).toHaveLength(USERS + 1);
    expect(new Set(told.map(({ user }) => user)).size).toBe(USERS);
    expect(unfollowed(paused.frames)).toEqual([]);
    const reasons = paused.frames.flatMap((frame) => (frame[0] === 'gap' ? [frame[4]] : []));
    expect(new Set(reasons)).toEqual(new Set(room.startsWith('live') ? [] : ['replaced']));
    for (const client of [paused, observer, ...users]) client.socket.terminate();
  });
});

/** Offsets that do not follow on: neither told as a message nor named by a gap, or told twice. */
function unfollowed(frames: readonly ServerFrame[]): string[] {
  const wrong: string[] = [];
  let next = 1;
  for (const frame of frames) {
    if (frame[0] !== 'gap' && (frame[0] !== 'message' || frame[2] === 0)) continue;
    if (frame[2] !== next) wrong.push(`${frame[0]} ${frame[2]} where ${next} was to follow`);
    next = (frame[0] === 'gap' ? frame[3] : frame[2]) + 1;
  }
  return wrong;
}
