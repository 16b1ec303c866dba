import { setTimeout as sleep } from 'node:timers/promises';
import type { Driver, OpeningSummary } from '../../src/load/driver.ts';
import type { Phase } from '../../src/load/phase.ts';
import type { Contender } from '../server/contender.ts';
import { Meter } from './conditions.ts';
import { COLUMNS, checksOf, isDriverBound, loadFigures, PAYLOAD_BYTES } from './load-shape.ts';
import { onServer } from './on-server.ts';
import type { BenchOptions, Column, Scenario, Shape, Trial } from './scenario.ts';

const ROOMS = 100;
const MEMBERS = 100;
/** In all: one a room and second, far below what history keeps. */
const PUBLISHES_PER_SECOND = 100;
const BEFORE_MS = 2000;
const AWAY_MS = 2000;
/** After the last one is back. */
const AFTER_MS = 3000;

const MISSING: Column = { head: 'missing', figure: 'missingShare', digits: 2, kind: 'share' };
const { server, driver, p50, p99 } = COLUMNS;

const CUT: Shape = {
  name: 'cut',
  what: '100 rooms x 100 members on 3 nodes, 100 publishes/s; all links are cut at once, for 2 s',
  rows: [
    'bare-redis x3',
    'roomcast-redis x3',
    'socket.io-redis x3',
    'socket.io-streams x3',
    'socket.io-streams-quick-ping x3',
    'centrifugo-redis x3',
  ],
  control: 'bare-redis x3',
  headline: MISSING,
  columns: [
    { head: 'delivered', figure: 'deliveredShare', digits: 2, kind: 'share' },
    { head: 'back after s', figure: 'secondsUntilBack', digits: 1, kind: 'limited' },
    { head: 'refused', figure: 'refused', digits: 0 },
    COLUMNS.redis,
    { head: 'server us/delivery', figure: 'serverUsPerDelivery', digits: 1 },
    server,
    driver,
    p50,
    p99,
  ],
  goals: [{ row: 'roomcast-redis x3', figure: 'deliveredShare', atLeast: 1 }],
  run,
};

/**
 * The links of all members end without a close, as behind a router that restarts: the servers go on sending to the old sockets,
 * and nobody reads. After a pause all of them come back, each to a node by chance, and those that can ask for what they
 * missed. Publishers have links of their own, which stay. The old sockets outlive the trial: it takes two heartbeats to tell.
 */
export const JITTER: Scenario = {
  name: 'jitter',
  question: 'All links are cut for two seconds: do members get everything, once and in order?',
  shapes: [CUT],
};

function run(contender: Contender, options: BenchOptions): Promise<Trial> {
  const audience = {
    ...{ rooms: ROOMS, membersPerRoom: MEMBERS, publishersPerRoom: 1, publishersJoin: false },
    payloadBytes: PAYLOAD_BYTES,
  };
  return onServer(contender, audience, inTwo(options), async ({ server, driver }) => {
    await driver.open();
    const warmUp = await driver.run({ kind: 'open', perSecond: PUBLISHES_PER_SECOND }, options.warmUpSeconds);
    const meter = new Meter(server);
    const { phase, back } = await cutMidway(driver);
    const cost = meter.end(phase.driverUs);
    const driverShare = phase.driverUs / 1e6 / phase.seconds;
    return {
      shape: CUT.name,
      row: contender.name,
      figures: { ...loadFigures(phase, cost), ...cutFigures(phase, back), driverShare },
      checks: checksOf(phase, warmUp),
      driverBound: isDriverBound(driverShare, cost.redisUs, phase.seconds),
      voidBecause: cost.voidBecause,
    };
  });
}

/** Old and new sockets of all members are more than one process may commonly have open (20,000): two share the core. */
function inTwo({ cores, ...options }: BenchOptions): BenchOptions {
  const [core] = cores.drivers;
  const drivers = cores.drivers.length > 1 || core === undefined ? cores.drivers : [core, core];
  return { ...options, cores: { ...cores, drivers } };
}

async function cutMidway(driver: Driver): Promise<{ phase: Phase; back: OpeningSummary }> {
  const openings: OpeningSummary[] = [];
  const phase = await driver.run({ kind: 'open', perSecond: PUBLISHES_PER_SECOND }, 0, async () => {
    await sleep(BEFORE_MS);
    openings.push(await driver.cut(AWAY_MS));
    await sleep(AFTER_MS);
  });
  return { phase, back: openings[0]! };
}

function cutFigures({ lost, published }: Phase, back: OpeningSummary): Record<string, number> {
  const expected = published * MEMBERS;
  return {
    missingShare: lost / expected,
    // Rounded down: 100% is all of it.
    deliveredShare: Math.floor((1 - lost / expected) * 1e4) / 1e4,
    secondsUntilBack: back.seconds,
    refused: back.refused,
  };
}
