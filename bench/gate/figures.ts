/** What a message costs in things that can be counted: the same on every machine, whatever else it does. */
import { CountedNode, type Counts } from './counted-node.ts';
import { Crowd } from './crowd.ts';

/** One thing that was counted, and how much of it there may be. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly budget: number;
}

const MEMBERS = 50;
const SINGLY = 400;
/** As many as fit into one WebSocket message of 64 KiB. */
const TOGETHER = 300;
const ROOMS = 100;
const MEMBERS_OF_ROOM = 5;
const ROUNDS = 10;

/** What differs between the backplanes: with Redis there is more to allocate, and something to write. */
const BUDGETS = {
  memory: { heapSingly: 11_000, heapTogether: 1_800, writes: 1 },
  redis: { heapSingly: 28_000, heapTogether: 1_900, writes: 4 },
} as const;

/**
 * Counts on a node of its own. `root`: the checkout, built. Figures of system calls are left out where `strace` is missing.
 *
 * @throws when something published did not arrive.
 */
export async function countFigures(root: string, redisUrl: string | null): Promise<Figure[]> {
  const budget = redisUrl === null ? BUDGETS.memory : BUDGETS.redis;
  const node = await CountedNode.start(root, redisUrl);
  try {
    const singly = await oneRoom(node, SINGLY, 1);
    const together = await oneRoom(node, TOGETHER * ROUNDS, TOGETHER);
    const rooms = await manyRooms(node);
    const deliveries = (publishes: number): number => publishes * MEMBERS;
    const n = TOGETHER * ROUNDS;
    const all: Figure[] = [
      // One send a delivery is what there must be; the publisher's acknowledgement is the other one.
      {
        what: 'sends per delivery, singly',
        value: singly.sends / deliveries(SINGLY),
        budget: 1 + 1.1 / MEMBERS,
      },
      { what: 'sends per delivery, 300 at once', value: together.sends / deliveries(n), budget: 0.05 },
      {
        what: 'sends per delivery, 100 rooms at once',
        value: rooms.sends / (ROOMS * ROUNDS * MEMBERS_OF_ROOM),
        budget: 1.02,
      },
      { what: 'writes to Redis for 100 rooms at once', value: rooms.writes / ROUNDS, budget: budget.writes },
      { what: 'heap bytes per publish, singly', value: singly.heapUsed / SINGLY, budget: budget.heapSingly },
      {
        what: 'heap bytes per publish, 300 at once',
        value: together.heapUsed / n,
        budget: budget.heapTogether,
      },
      { what: 'collections meanwhile', value: singly.collections + together.collections, budget: 0 },
      { what: 'message frames built per publish', value: together.buildMessage / n, budget: 1 },
      { what: 'replies encoded per publish', value: together.encode / n, budget: 1 },
      { what: 'messages decoded', value: together.decodeMessage + singly.decodeMessage, budget: 0 },
      { what: 'messages transcoded', value: together.transcode + singly.transcode, budget: 0 },
    ];
    return all.filter(({ value }) => !Number.isNaN(value));
  } finally {
    await node.stop();
  }
}

/** What so many publishes to one room cost, so many of them in one WebSocket message. */
async function oneRoom(node: CountedNode, publishes: number, together: number): Promise<Counts> {
  const crowd = await Crowd.join({ port: node.port, rooms: 1, membersPerRoom: MEMBERS });
  const round = async (): Promise<void> => {
    for (let sent = 0; sent < publishes; sent += together) await crowd.publish(together);
  };
  return during(node, crowd, round);
}

async function manyRooms(node: CountedNode): Promise<Counts> {
  const crowd = await Crowd.join({ port: node.port, rooms: ROOMS, membersPerRoom: MEMBERS_OF_ROOM });
  return during(node, crowd, async () => {
    for (let i = 0; i < ROUNDS; i++) await crowd.publish(ROOMS);
  });
}

/** The second time counts: by the first one the code is compiled and what grows has grown. */
async function during(node: CountedNode, crowd: Crowd, round: () => Promise<void>): Promise<Counts> {
  try {
    await round();
    const before = await node.counts();
    await round();
    const after = await node.counts();
    if (crowd.tally.troubles > 0 || crowd.tally.repeated > 0 || crowd.tally.reordered > 0)
      throw new Error(`deliveries were wrong: ${crowd.tally.firstTrouble ?? 'repeated or out of order'}`);
    return difference(after, before);
  } finally {
    crowd.close();
  }
}

function difference(after: Counts, before: Counts): Counts {
  const entries = Object.entries(after) as [keyof Counts, number][];
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value - before[name]]),
  ) as unknown as Counts;
}
