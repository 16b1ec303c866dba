/** What a message costs in countable things: the same on every machine, whatever else runs there. */
import { CountedNode, type Counts } from './counted-node.ts';
import { Crowd } from './crowd.ts';

/** One counted figure, with its allowed minimum and maximum: too little means that nothing was counted. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
}

const MEMBERS = 50;
const SINGLY = 400;
/** As many as fit into one WebSocket message of 64 KiB. */
const TOGETHER = 300;
const ROOMS = 100;
const MEMBERS_OF_ROOM = 5;
const ROUNDS = 10;

/**
 * The differences between the backplanes. Heap: a third above the value measured on Node 20 (in the comment).
 */
const MOST = {
  // 7,900 to 8,500, and 1,360 to 1,440.
  memory: { heapSingly: 11_000, heapTogether: 1_900, commits: 0 },
  // 21,400, and 1,400.
  redis: { heapSingly: 28_000, heapTogether: 1_900, commits: 1 },
} as const;

/** A collection in between makes the heap figures meaningless. */
const ATTEMPTS = 3;

/**
 * Counts on a separate node. `root`: the checkout, built. Leaves out figures of system calls if `strace`
 * cannot be used.
 *
 * @throws if something published did not arrive.
 */
export async function countFigures(root: string, redisUrl: string | null): Promise<Figure[]> {
  const node = await CountedNode.start(root, redisUrl);
  try {
    const singly = await oneRoom(node, SINGLY, 1);
    const together = await oneRoom(node, TOGETHER * ROUNDS, TOGETHER);
    const rooms = await manyRooms(node);
    const most = redisUrl === null ? MOST.memory : MOST.redis;
    return figures(singly, together, rooms, most).filter(({ value }) => !Number.isNaN(value));
  } finally {
    await node.stop();
  }
}

function figures(
  singly: Counts,
  together: Counts,
  rooms: Counts,
  most: (typeof MOST)[keyof typeof MOST],
): Figure[] {
  const inAll = TOGETHER * ROUNDS;
  const inRooms = ROOMS * ROUNDS;
  const each = (what: string, count: number): Figure => ({ what, value: count, least: 1, most: 1 });
  const none = (what: string, count: number): Figure => ({ what, value: count, least: 0, most: 0 });
  return [
    // One send per delivery is the minimum; the publisher's acknowledgement is the other one.
    figure('sends per delivery, singly', singly.sends / (SINGLY * MEMBERS), 1, 1 + 1.1 / MEMBERS),
    figure('sends per delivery, 300 at once', together.sends / (inAll * MEMBERS), 1 / TOGETHER, 3 / TOGETHER),
    figure('sends per delivery, 100 rooms at once', rooms.sends / (inRooms * MEMBERS_OF_ROOM), 1, 1.02),
    figure('calls to Redis, 100 rooms at once', rooms.commits / ROUNDS, most.commits, most.commits),
    figure('heap bytes per publish, singly', singly.heapUsed / SINGLY, 1000, most.heapSingly),
    figure('heap bytes per publish, 300 at once', together.heapUsed / inAll, 200, most.heapTogether),
    none('collections meanwhile', singly.collections + together.collections),
    each('message frames built per publish', together.buildMessage / inAll),
    each('replies encoded per publish', together.encode / inAll),
    none('messages decoded', together.decodeMessage + singly.decodeMessage),
    none('messages transcoded', together.transcode + singly.transcode),
  ];
}

function figure(what: string, value: number, least: number, most: number): Figure {
  return { what, value, least, most };
}

/** Whether it is within its limits. */
export function isWithin({ value, least, most }: Figure): boolean {
  return value >= least && value <= most;
}

/** The cost of this many publishes to one room, this many of them in one WebSocket message. */
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

/** The second run counts: in the first one the code is compiled and buffers grow. */
async function during(node: CountedNode, crowd: Crowd, round: () => Promise<void>): Promise<Counts> {
  try {
    await round();
    let counts = await countRound(node, round);
    for (let attempt = 1; attempt < ATTEMPTS && counts.collections > 0; attempt++)
      counts = await countRound(node, round);
    if (crowd.tally.troubles > 0 || crowd.tally.repeated > 0 || crowd.tally.reordered > 0)
      throw new Error(`deliveries were wrong: ${crowd.tally.firstTrouble ?? 'repeated or out of order'}`);
    return counts;
  } finally {
    crowd.close();
  }
}

async function countRound(node: CountedNode, round: () => Promise<void>): Promise<Counts> {
  const before = await node.counts();
  await round();
  return difference(await node.counts(), before);
}

function difference(after: Counts, before: Counts): Counts {
  const entries = Object.entries(after) as [keyof Counts, number][];
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value - before[name]]),
  ) as unknown as Counts;
}
