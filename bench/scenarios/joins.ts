import type { Contender } from '../server/contender.ts';
import { Meter } from './conditions.ts';
import { COLUMNS, checksOf, isDriverBound, PAYLOAD_BYTES } from './load-shape.ts';
import { untilIdle } from './memory.ts';
import { onServer } from './on-server.ts';
import type { BenchOptions, Column, Scenario, Shape, Trial } from './scenario.ts';

const CONNECTIONS = 5000;
/** A fresh server would charge its compiler to the first thousands. */
const WARM_UP = 5000;
const PER_ROOM = 10;
const AT_ONCE = 64;
/** For work after the last join: presence is written in batches. */
const REST_MS = 10_000;
const CHECK_SECONDS = 0.5;

const PER_CONNECTION: Column = { head: 'us/connection', figure: 'serverUsPerConnection', digits: 1 };
const { server, driver, p50, p99 } = COLUMNS;
const COLUMNS_SHOWN: readonly Column[] = [
  { head: 'redis us/join', figure: 'redisUsPerConnection', digits: 1 },
  { head: 'connections/s', figure: 'connectionsPerSecond', digits: 0, kind: 'limited' },
  server,
  driver,
  p50,
  p99,
];

const JOIN_STORM: Shape = {
  name: 'storm',
  what: '5,000 connections, 64 at once: connect, upgrade, join one of 500 rooms',
  rows: [
    'bare',
    'bare-redis',
    'roomcast-no-presence',
    'roomcast-redis-no-presence',
    'roomcast',
    'roomcast-redis',
    'ws',
    'socket.io-redis',
  ],
  control: 'bare',
  headline: PER_CONNECTION,
  columns: COLUMNS_SHOWN,
  goals: [
    { row: 'roomcast-redis-no-presence', figure: PER_CONNECTION.figure, to: 'bare', atMost: 2 },
    { row: 'roomcast-redis', figure: PER_CONNECTION.figure, to: 'bare', atMost: 4 },
  ],
  run,
};

export const JOINS: Scenario = {
  name: 'joins',
  question: 'Everyone comes at once: what does a connection cost until it is a member?',
  shapes: [JOIN_STORM],
};

/**
 * Some connections come and go first. Then all connect, and a short load shows that each is where it should
 * be.
 */
function run(contender: Contender, options: BenchOptions): Promise<Trial> {
  const audience = (connections: number, roomPrefix: string) => ({
    ...{ rooms: connections / PER_ROOM, membersPerRoom: PER_ROOM, publishersPerRoom: 1 },
    ...{ publishersJoin: true, payloadBytes: PAYLOAD_BYTES, roomPrefix },
  });
  return onServer(contender, audience(WARM_UP, 'warm:'), options, async ({ server, driver, startDriver }) => {
    await driver.open({ atOnce: AT_ONCE });
    await driver.close();
    const crowd = await startDriver(audience(CONNECTIONS, 'bench:'));
    await untilIdle(server, REST_MS);
    const meter = new Meter(server);
    const opening = await crowd.open({ atOnce: AT_ONCE });
    await untilIdle(server, REST_MS);
    const cost = meter.end(opening.driverUs);
    const phase = await crowd.run({ kind: 'closed', inFlight: 8 }, CHECK_SECONDS);
    const { redisUs, serverUs, voidBecause } = cost;
    const figures = {
      serverUsPerConnection: serverUs / CONNECTIONS,
      redisUsPerConnection: redisUs === 0 ? Number.NaN : redisUs / CONNECTIONS,
      connectionsPerSecond: CONNECTIONS / opening.seconds,
      // Share of the time until the last join: later writes may take it above 100%.
      serverShare: serverUs / opening.seconds / 1e6,
      driverShare: opening.driverShare,
      ...opening.latencyUs,
    };
    const driverBound = isDriverBound(opening.driverShare, redisUs, opening.seconds);
    const { name: row } = contender;
    return { shape: JOIN_STORM.name, row, figures, checks: checksOf(phase), driverBound, voidBecause };
  });
}
