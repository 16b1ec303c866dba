/** Whether what a `gap` says of the messages that it names is true: only what was replaced or is too old may be left out. */
import type { Acknowledged } from '../../support/returning-client.ts';
import type { SimulatedClient, ToldGap } from './simulated-client.ts';
import type { World } from './world.ts';

/** What a room promises to keep. */
export interface Kept {
  readonly messages: number;
  readonly ageMs: number;
}

/** A message with what takes its place: the key, as its sender has it. */
interface Stored extends Acknowledged {
  readonly scope: string | null;
}

/** Clocks that jump make messages older than they are. */
const SURE_SHARE = 0.5;
/** A message that pushed others out reaches members within this. */
const SOON_MS = 1_000;

export function checkGaps(world: World, kept: (room: string) => Kept): void {
  const fromServer = world.fromServer.map((one) => ({ ...one, scope: null }));
  const stored = [...world.clients.flatMap(storedBy), ...fromServer];
  const doubtful = new Set(world.clients.flatMap(doubtfulOf));
  for (const { owner, gaps } of world.clients) {
    // Where Redis forgot what it stored nobody can say what it should have kept.
    for (const gap of gaps.filter(({ room }) => !world.forgot(room))) {
      const problem = problemOf(gap, stored, doubtful, kept(gap.room), world.skips(gap.room));
      if (problem !== null && !hadMore(world, gap, kept(gap.room)))
        world.violation(
          `untrue gap: ${owner.name} was told that ${gap.from}..${gap.to} of ${gap.room} are ${gap.reason}: ${problem}`,
        );
    }
  }
}

function storedBy({ acknowledged, scopes }: SimulatedClient): Stored[] {
  return acknowledged.map((one) => ({ ...one, scope: scopes.get(one.payload) ?? null }));
}

/** Rooms and keys of messages of which nobody knows whether they were stored. */
function doubtfulOf({ outcomes, scopes }: SimulatedClient): string[] {
  return outcomes.flatMap(({ room, payload, end }) =>
    end === 'unknown' || end === 'closed' ? [`${room} ${scopes.get(payload)}`] : [],
  );
}

function problemOf(
  gap: ToldGap,
  stored: readonly Stored[],
  doubtful: ReadonlySet<string>,
  kept: Kept,
  skips: boolean,
): string | null {
  const { from, to, reason } = gap;
  const inRoom = stored.filter(({ room, epoch }) => room === gap.room && epoch === gap.epoch);
  const named = inRoom.filter(({ offset }) => from <= offset && offset <= to);
  if (reason === 'replaced') {
    const isReplaced = ({ offset, scope }: Stored) =>
      scope !== null &&
      (doubtful.has(`${gap.room} ${scope}`) ||
        inRoom.some((other) => other.scope === scope && other.offset > offset));
    const stays = named.find((one) => !isReplaced(one));
    return stays === undefined ? null : `nothing replaced ${stays.offset}`;
  }
  if (reason === 'skipped') {
    if (!skips) return 'its room skips nothing';
    const next = inRoom.find(({ offset }) => offset === to + 1);
    return next !== undefined && next.sentAtMs > gap.atMs
      ? `the newest is among them, and ${to + 1} came later`
      : null;
  }
  if (reason !== 'expired') return null;
  const newest = Math.max(
    ...inRoom.filter(({ sentAtMs }) => sentAtMs <= gap.atMs).map(({ offset }) => offset),
  );
  const stays = named.find(
    ({ offset, sentAtMs }) =>
      newest - offset < kept.messages && gap.atMs - sentAtMs < kept.ageMs * SURE_SHARE,
  );
  return stays === undefined ? null : `history keeps ${stays.offset}`;
}

/** Whether members were given messages that pushed these out, and nobody knows who published them. */
function hadMore(world: World, { room, to, atMs, reason }: ToldGap, kept: Kept): boolean {
  if (reason !== 'expired') return false;
  const logs = world.clients
    .flatMap(({ stays }) => stays.map(({ log }) => log))
    .filter((log) => log.room === room);
  return logs.some((log) =>
    log.offsets.some((offset, i) => offset >= to + kept.messages && log.atMs[i]! <= atMs + SOON_MS),
  );
}
