/** The broker compared with itself: the cost of a setting, or of a second node. */
import { atMost, loadShape } from './load-shape.ts';
import type { Scenario } from './scenario.ts';
import { BURST, ROOMS, SINGLE, type UsualLoad } from './usual-loads.ts';

type Named = readonly [name: string, load: UsualLoad];

const IN_BURSTS: Named = ['burst', BURST];
const SINGLY: Named = ['single', SINGLE];
const IN_ROOMS: Named = ['rooms', ROOMS];

export const HISTORY: Scenario = {
  name: 'history',
  question: 'What does it cost to keep the history from which members recover?',
  shapes: shapes([IN_BURSTS, SINGLY, IN_ROOMS], ['roomcast-redis-no-history', 'roomcast-redis']),
};

export const FORMATS: Scenario = {
  name: 'formats',
  question: 'What do members cost that speak JSON and not MessagePack?',
  shapes: shapes([IN_BURSTS, IN_ROOMS], ['roomcast-redis', 'roomcast-redis-json']),
};

/** All nodes share the server's core: the figure is their time together, not how much faster they are. */
export const NODES: Scenario = {
  name: 'nodes',
  question: 'What does it add to a delivery that members are spread over several nodes?',
  shapes: shapes(
    [IN_BURSTS, SINGLY, IN_ROOMS],
    ['roomcast-redis', 'roomcast-redis x2', 'roomcast-redis x3', 'bare-redis', 'bare-redis x2'],
  ),
};

/** The first row is the control. */
function shapes(loads: readonly Named[], rows: readonly [string, ...string[]]): Scenario['shapes'] {
  const goals = rows.includes('roomcast-redis x2') ? [atMost(1.1, rows[0], 'roomcast-redis x2')] : [];
  return loads.map(([name, load]) => loadShape({ name, rows, control: rows[0], goals, ...load }));
}
