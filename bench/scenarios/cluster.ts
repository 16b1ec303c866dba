/** One Redis against the masters of a Redis Cluster. */
import { COLUMNS, loadShape } from './load-shape.ts';
import type { Column, Scenario } from './scenario.ts';

const ROWS = ['roomcast-redis', 'roomcast-cluster-1', 'roomcast-cluster-3', 'roomcast-cluster-6'];
const PER_PUBLISH: Column = { head: 'us/publish', figure: 'serverUsPerPublish', digits: 1 };
/** CPU of the busiest master by that of all on average. */
const BUSIEST: Column = { head: 'busiest master', figure: 'busiestMaster', digits: 2 };
const { redis, publishes, server, driver, p50, p99 } = COLUMNS;

/**
 * All masters share one core with the driver, so that the figures are what a publish costs, not how much faster several cores
 * are. Of the rooms, which are spread by their names, each master has an equal share.
 */
export const CLUSTER: Scenario = {
  name: 'cluster',
  question:
    'What does a publish cost a node and Redis when the rooms are spread over the masters of a cluster?',
  shapes: [
    loadShape({
      name: 'rooms-10000',
      what: '10,000 rooms with 1 member each, 64 publishers outside that publish to all of them, 1,024 in flight',
      rows: ROWS,
      control: 'roomcast-redis',
      audience: {
        ...{ rooms: 10_000, membersPerRoom: 1, publishersPerRoom: 1, publishersJoin: false },
        outsideConnections: 64,
      },
      load: { kind: 'closed', inFlight: 1_024 },
      headline: PER_PUBLISH,
      columns: [redis, BUSIEST, publishes, server, driver, p50, p99],
      goals: [3, 6].map((masters) => ({
        row: `roomcast-cluster-${masters}`,
        figure: BUSIEST.figure,
        atMost: 1.1,
      })),
    }),
  ],
};
