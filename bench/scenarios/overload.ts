import { COLUMNS, loadShape } from './load-shape.ts';
import type { Scenario, Shape } from './scenario.ts';

const { redis, deliveries, publishes, batch, server, driver, p50, p99, max, peak } = COLUMNS;

/** Some ten and twenty times what a core carries when each message is sent by itself (`single` of fan-out). */
const OFFERED = [1500, 3000];

/**
 * Publishes come faster than single sends could carry them. A broker that batches gets cheaper as it falls behind, and
 * settles; one that does not falls behind for as long as it lasts: its latency is the length of the run, and what waits fills
 * its memory or is dropped.
 */
export const OVERLOAD: Scenario = {
  name: 'overload',
  question: 'More is offered than single sends can carry: does it settle, with latency and memory bounded?',
  shapes: OFFERED.map(offered),
};

function offered(perSecond: number): Shape {
  return loadShape({
    name: `offered-${perSecond}`,
    what: `1 room x 1,000 members, ${perSecond.toLocaleString('en')} publishes/s whatever comes back`,
    rows: ['bare', 'bare-redis', 'roomcast', 'roomcast-redis'],
    control: 'bare',
    audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 8 },
    load: { kind: 'open', perSecond },
    columns: [redis, deliveries, publishes, batch, server, driver, p50, p99, max, peak],
  });
}
