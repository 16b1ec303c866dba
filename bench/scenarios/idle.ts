import type { Audience } from '../../src/load/driver.ts';
import type { Contender } from '../server/contender.ts';
import type { RunningServer } from '../server/running-server.ts';
import { checksOf, PAYLOAD_BYTES } from './load-shape.ts';
import { collectGarbage, untilIdle, withCollection } from './memory.ts';
import { onServer } from './on-server.ts';
import type { BenchOptions, Column, Scenario, Shape, Trial } from './scenario.ts';

/** These connect first and stay: a process's base memory does not count towards connections. */
const FIRST = 1000;
const THEN = 10_000;
const CHECK_SECONDS = 0.5;
/** For work after the last join: presence is written in batches. */
const REST_MS = 10_000;

const PER_CONNECTION: Column = { head: 'bytes/connection', figure: 'bytesPerConnection', digits: 0 };

/**
 * Resident memory of the server with 11,000 members, less that with 1,000. Nothing was published before,
 * presence is on, and heartbeats go on. All garbage is collected first: where a server stands in V8's round
 * of growing and shrinking would be twice what the connections take. What it held before that is shown, too.
 * What the kernel holds for a socket is not in it.
 */
export const IDLE: Scenario = {
  name: 'idle',
  question: 'How much memory does a joined connection take that does nothing?',
  shapes: [
    idleShape('rooms', '10,000 connections, 10 in a room, at rest', 10),
    idleShape('one-room', '10,000 connections, all in one room, at rest', THEN),
  ],
};

function idleShape(name: string, what: string, perRoom: number): Shape {
  return {
    name,
    what,
    rows: ['bare', 'bare-redis', 'roomcast', 'roomcast-redis', 'ws', 'socket.io-redis'],
    control: 'bare',
    headline: PER_CONNECTION,
    columns: [
      { head: 'with garbage', figure: 'bytesWithGarbage', digits: 0 },
      { head: 'MB with 1,000', figure: 'memoryBeforeMB', digits: 1 },
      { head: 'MB with 11,000', figure: 'memoryMB', digits: 1 },
    ],
    goals: [{ row: 'roomcast-redis', figure: PER_CONNECTION.figure, to: 'bare', atMost: 1.5 }],
    run: (contender, options) => run(name, perRoom, contender, options),
  };
}

/** A short load at the end shows that each of them was a member. */
function run(shape: string, perRoom: number, contender: Contender, options: BenchOptions): Promise<Trial> {
  const audience = (connections: number, roomPrefix: string): Audience => ({
    ...{
      rooms: connections / Math.min(perRoom, connections),
      membersPerRoom: Math.min(perRoom, connections),
    },
    ...{ publishersPerRoom: 1, publishersJoin: true, payloadBytes: PAYLOAD_BYTES, roomPrefix },
  });
  const measured = withCollection(contender);
  return onServer(measured, audience(FIRST, 'first:'), options, async ({ server, driver, startDriver }) => {
    await driver.open();
    const before = await memoryOf(server);
    const crowd = await startDriver(audience(THEN, 'bench:'));
    await crowd.open();
    await untilIdle(server, REST_MS);
    const withGarbage = server.memoryBytes;
    const after = await memoryOf(server);
    const phase = await crowd.run({ kind: 'closed', inFlight: 1 }, CHECK_SECONDS);
    const figures = {
      bytesPerConnection: (after - before) / THEN,
      bytesWithGarbage: (withGarbage - before) / THEN,
      memoryBeforeMB: before / 2 ** 20,
      memoryMB: after / 2 ** 20,
    };
    // Memory is not a matter of time: nothing that runs beside it makes it void.
    return {
      ...{ shape, row: contender.name, figures, checks: checksOf(phase) },
      ...{ driverBound: false, voidBecause: null },
    };
  });
}

/** Memory of an idle server, in bytes. */
async function memoryOf(server: RunningServer): Promise<number> {
  await untilIdle(server, REST_MS);
  await collectGarbage(server);
  return server.memoryBytes;
}
