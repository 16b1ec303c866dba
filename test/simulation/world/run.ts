/** One run: a storm, a calm, and what must be true at the end of each. */
import { Random } from '../../support/random.ts';
import { ACTIONS, publishTo, restartPayloads } from './actions.ts';
import { checkAnswers } from './answer-checks.ts';
import { checkCalm, checkEnd, checkMessages, checkSwept } from './checks.ts';
import { FAULTS, FAULTS_OF_CLUSTER } from './faults.ts';
import { checkGaps } from './gap-checks.ts';
import { checkKeptOut, lookForKeptOut } from './keep-out.ts';
import { LagChecks } from './lag-checks.ts';
import { watchLeases } from './lease-checks.ts';
import { ListChecks } from './list-checks.ts';
import { checkMemoryAtRest, checkMemoryInStorm, checkMemoryLeft, noteFreshNode } from './memory-checks.ts';
import { checkNewest } from './newest-checks.ts';
import { checkOrder } from './order-checks.ts';
import { checkAfterJoins, checkOwn } from './own-checks.ts';
import { type PlannedEvent, plan } from './plan.ts';
import { checkRefused } from './refused-checks.ts';
import { ReleaseChecks } from './release-checks.ts';
import { checkResets } from './reset-checks.ts';
import { lookForRevoked } from './revocations.ts';
import type { Settings } from './settings.ts';
import { SHAPES, type Shape, type ShapeName } from './shapes.ts';
import { checkStays } from './stays.ts';
import { Steady } from './steady.ts';
import { lookForExpired } from './token-checks.ts';
import { type Counts, ROOMS, shownTasks, World } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  /** Default: `ordinary`. */
  readonly shape?: ShapeName;
  /** Shorter or longer than that of its shape. */
  readonly stormMs?: number;
  readonly actionsPerSecond?: number;
  readonly faultsPerMinute?: number;
  /** How often these actions are drawn. */
  readonly actions?: Readonly<Record<string, number>>;
  /** These kinds of faults and no others. Default: about half of all kinds, drawn. */
  readonly faultKinds?: readonly string[];
  /** In place of what is drawn. */
  readonly settings?: Partial<Settings>;
  /** Time ends with the first violation. Default: the run goes on, to say all that is wrong. */
  readonly stopsAtFirst?: boolean;
  /** Clients and rooms whose frames are traced. Default: none. */
  readonly frames?: readonly string[] | undefined;
  /** Which of the planned events happen. Default: all. */
  readonly events?: readonly PlannedEvent[];
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  /** What happened, a line each. */
  readonly lines: readonly string[];
  readonly events: readonly PlannedEvent[];
  /** The same for the same run. */
  readonly digest: string;
  readonly counts: Counts;
  readonly simulatedMs: number;
  /** The part in which anything happens. */
  readonly stormMs: number;
  readonly tasks: number;
}

const START_MS = 3_000;
/** Longer than any wait of a client or a node: leases, backoff, rounds of checks. */
const CALM_MS = 70_000;
/** On a cluster the lists of rooms of nodes that stopped are kept for a minute, and for a moment more. */
const KEPT_MS = 70_000;
const LAST_MS = 10_000;
/** Until what waits to be tried again waits for long. */
const REFUSED_MS = 3_000;

function shapeOf({ shape = 'ordinary', ...own }: RunOptions): Shape {
  const { stormMs, actionsPerSecond, faultsPerMinute, actions } = own;
  const named: Shape = SHAPES[shape];
  return {
    ...named,
    stormMs: stormMs ?? named.stormMs,
    actionsPerSecond: actionsPerSecond ?? named.actionsPerSecond,
    faultsPerMinute: faultsPerMinute ?? named.faultsPerMinute,
    actions: { ...named.actions, ...actions },
  };
}

export function plannedFor(options: RunOptions): PlannedEvent[] {
  return plan({ ...shapeOf(options), seed: options.seed, faultKinds: options.faultKinds });
}

/** Must be called from a task of the event loop of its own, such as a timer: in a promise nothing else would run. */
export function run(options: RunOptions): RunResult {
  const { seed, events = plannedFor(options) } = options;
  const shape = shapeOf(options);
  const { stormMs } = shape;
  const { stopsAtFirst = false, settings, frames } = options;
  const world = new World({ ...shape, seed, stopsAtFirst, settings, frames });
  const { loop, violations, lines, counts } = world;
  restartPayloads();
  try {
    inWorld(world, shape, events, seed);
  } catch (error) {
    // The model does not know a command, or the like.
    world.violation(`the run threw ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    world.dispose();
  }
  const { digest } = world;
  const [simulatedMs, { tasks }] = [loop.nowMs, loop];
  return { seed, violations, lines, events, digest, counts, simulatedMs, stormMs, tasks };
}

function inWorld(world: World, shape: Shape, events: readonly PlannedEvent[], seed: number): void {
  const { loop } = world;
  loop.run(START_MS, () => world.running.length === world.nodes.length);
  watchAlways(world);
  noteFreshNode(world);
  for (let i = 0; i < shape.clients; i++) joinSome(world, shape.joinedShare);
  world.whenBack = () => joinSome(world, shape.joinedShare);
  world.trace('storm');
  storm(world, events, shape.stormMs);
  checkMemoryInStorm(world, seed);
  world.trace('calm');
  endFaults(world);
  loop.run(loop.nowMs + CALM_MS / 2, () => world.violations.length > 20);
  checkStays(world, () => loop.run(loop.nowMs + CALM_MS / 2, () => world.violations.length > 20));
  checkCalm(world);
  checkMemoryAtRest(world, seed);
  checkKeptOut(world);
  const random = new Random(seed ^ 0x1b873593);
  for (const client of world.clients) {
    for (const room of client.rooms) publishTo(world, client, room, random);
  }
  loop.run(loop.nowMs + LAST_MS);
  checkMessages(world);
  checkOwn(world);
  checkAfterJoins(world);
  checkGaps(world, world.keptIn);
  checkRefused(world);
  checkResets(world);
  checkOrder(world);
  checkAnswers(world);
  checkNewest(world);
  closeClients(world, random);
  loop.run(loop.nowMs + LAST_MS);
  // The last one sweeps what others left.
  for (let place = 1; place < world.nodes.length; place++) world.drainNode(place);
  loop.run(loop.nowMs + CALM_MS / 2 + (world.cluster === null ? 0 : KEPT_MS));
  checkSwept(world);
  checkMemoryLeft(world, seed);
  world.drainNode(0);
  loop.run(loop.nowMs + LAST_MS);
  checkEnd(world);
  world.count(
    'messages',
    world.clients.reduce((sum, { messages }) => sum + messages, 0),
  );
  world.count(
    'signals',
    world.clients.reduce((sum, { signals }) => sum + signals, 0),
  );
}

/** What must be true at any time, and not only in the end. */
function watchAlways(world: World): void {
  watchLeases(world);
  const steady = new Steady(world);
  const lag = new LagChecks(world, steady);
  const lists = new ListChecks(world, steady);
  const releases = new ReleaseChecks(world);
  world.whenStopped = (node) => releases.stopped(node);
  steady.watch(() => {
    lag.look();
    lookForKeptOut(world, steady);
    lookForRevoked(world, steady);
    lookForExpired(world, steady);
    lists.look();
    releases.look();
  });
}

function joinSome(world: World, share: number): void {
  const client = world.addClient();
  for (const room of ROOMS)
    if (world.random.next() < share) world.loop.as(client.owner, () => client.join(room));
}

/** While Redis refuses what they publish, so that they wait to try again. They leave no timer behind. */
function closeClients(world: World, random: Random): void {
  const { loop } = world;
  for (const { redis } of world.stores) redis.isFull = true;
  for (const client of world.clients) publishTo(world, client, 'chat:a', random);
  loop.run(loop.nowMs + REFUSED_MS);
  world.whenBack = null;
  for (const client of world.clients) loop.as(client.owner, () => client.close());
  for (const { owner } of world.clients) {
    const left = loop.pendingOf(owner).filter(({ isTimer }) => isTimer);
    if (left.length > 0) world.violation(`${owner.name} is closed and left ${shownTasks(left)}`);
  }
  for (const { redis } of world.stores) redis.isFull = false;
}

function storm(world: World, events: readonly PlannedEvent[], stormMs: number): void {
  const { loop } = world;
  const beganMs = loop.nowMs;
  const faults = world.cluster === null ? FAULTS : FAULTS_OF_CLUSTER;
  for (const event of events) {
    loop.run(beganMs + event.atMs);
    const random = new Random(event.seed);
    ACTIONS[event.kind]?.happen(world, random);
    if (faults[event.kind]?.happen(world, random)) world.count(`fault ${event.kind}`);
  }
  loop.run(beganMs + stormMs);
}

/** Faults end by themselves within this time; what they paused goes on. A message in each room shows which nodes are deaf for it. */
function endFaults(world: World): void {
  for (const client of world.clients.filter(({ owner }) => owner.held === null)) {
    for (const room of ROOMS) publishTo(world, client, room, world.random);
  }
  world.loop.run(world.loop.nowMs + 70_000);
  world.cutOff.clear();
  world.isRedisDown = false;
  for (let place = 0; place < world.nodes.length; place++) if (!world.nodes[place]) world.startNode(place);
}
