import { atMost, COLUMNS, loadShape } from './load-shape.ts';
import type { Column, Scenario, Shape } from './scenario.ts';

/** A publish is one sample of the wait before its first delivery, and 1,000 of what comes after: p99 wants some hundred publishes. */
const SECONDS = 8;
const BROKERS = ['bare', 'bare-redis', 'roomcast', 'roomcast-redis'];

const { redis, deliveries, server, driver, sleeps, p50, p99, p999 } = COLUMNS;
/** To `bare-redis`: the least a broker can take that hands messages to Redis before it delivers them. */
const P99: Column = { ...p99, head: 'p99 us (x bare-redis)', ratioTo: 'bare-redis' };

export const LATENCY: Scenario = {
  name: 'latency',
  question: 'How long does a delivery take, and what does it cost, at a rate that everyone can carry?',
  shapes: [
    paced(20, [...BROKERS, 'ws', 'socket.io-redis']),
    paced(50, [...BROKERS, 'ws']),
    // Of single sends this is about what a core can do.
    paced(100, BROKERS),
  ],
};

function paced(perSecond: number, rows: readonly string[]): Shape {
  return loadShape({
    name: `paced-${perSecond}`,
    what: `1 room x 1,000 members, ${perSecond} publishes/s whatever comes back`,
    rows,
    control: 'bare',
    audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 8 },
    load: { kind: 'open', perSecond },
    seconds: SECONDS,
    columns: [redis, deliveries, server, driver, sleeps, p50, P99, p999],
    goals: [
      atMost(1.15, 'bare'),
      { row: 'roomcast-redis', figure: p99.figure, to: 'bare-redis', atMost: 1.5 },
    ],
  });
}
