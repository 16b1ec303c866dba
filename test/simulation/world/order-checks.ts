/** What one connection publishes to a room keeps its order, messages and signals. */
import type { MemberLog } from '../../support/member-log.ts';
import type { HeardSignal, Sending } from './sendings.ts';
import type { SimulatedClient } from './simulated-client.ts';
import type { World } from './world.ts';

export function checkOrder(world: World): void {
  for (const client of world.clients) {
    for (const group of groups(client.sendings.all)) checkOffsets(world, client, group);
  }
  for (const { owner, heard } of world.clients) {
    for (const signal of heard) checkSignal(world, owner.name, signal);
  }
  const turns = turnsOf(world.clients);
  for (const { log } of world.clients.flatMap(({ stays }) => stays)) {
    if (log.room.startsWith('live:')) checkUnnumbered(world, log, turns);
  }
}

/** Where a message stands among those of its connection and room. */
interface Turn {
  readonly group: string;
  readonly at: number;
}

/** By message: of those that were sent once, and may have been stored then. Where one that is tried again stands nobody knows. */
function turnsOf(clients: readonly SimulatedClient[]): ReadonlyMap<number, Turn> {
  const turns = new Map<number, Turn>();
  for (const { owner, sendings } of clients) {
    for (const [at, { number, isSignal, isDoubtful, connection, end, room }] of sendings.all.entries()) {
      if (isSignal || end === 'refused') continue;
      if (isDoubtful) turns.delete(number);
      else turns.set(number, { group: `${owner.name} ${connection} ${room}`, at });
    }
  }
  return turns;
}

/** From one join to the next: what it replays is older. */
function checkUnnumbered(world: World, log: MemberLog, turns: ReadonlyMap<number, Turn>): void {
  const newest = new Map<string, { readonly at: number; readonly payload: number }>();
  for (const [i, payload] of log.payloads.entries()) {
    if (log.marks.some(({ at, event }) => at === i && event.kind === 'joined')) newest.clear();
    const turn = turns.get(payload);
    if (turn === undefined) continue;
    const before = newest.get(turn.group);
    if (before !== undefined && before.at > turn.at)
      world.violation(
        `order: ${log.name} is given message ${payload} in ${log.room} after message ${before.payload}, which was sent after it`,
      );
    newest.set(turn.group, { at: turn.at, payload });
  }
}

/** By connection and room. */
function groups(all: readonly Sending[]): Iterable<readonly Sending[]> {
  const found = new Map<string, Sending[]>();
  for (const sending of all) {
    const key = `${sending.connection} ${sending.room}`;
    const group = found.get(key);
    if (group) group.push(sending);
    else found.set(key, [sending]);
  }
  return found.values();
}

/** A retry counts when it was first stored, which may be long ago. */
function isPlaced({ isSignal, isDoubtful, end, offset }: Sending): boolean {
  return !isSignal && !isDoubtful && end === 'ok' && offset > 0;
}

function checkOffsets(world: World, { owner }: SimulatedClient, group: readonly Sending[]): void {
  let before: Sending | null = null;
  for (const sending of group.filter(isPlaced)) {
    if (before?.epoch === sending.epoch && before.offset > sending.offset) {
      const both = `${sending.number} as ${sending.offset} after ${before.number} as ${before.offset}`;
      world.violation(`order: ${owner.name} sent ${both} to ${sending.room} on one connection`);
    }
    before = sending;
  }
}

/** Whoever hears a signal has the messages that its sender sent before it. */
function checkSignal(world: World, listener: string, heard: HeardSignal): void {
  const { room, sender, number, epoch, offset } = heard;
  const client = world.clients.find(({ owner }) => owner.name === sender);
  const all = client?.sendings.all ?? [];
  const signal = all.find((sending) => sending.isSignal && sending.number === number);
  // Its own messages may be left out for a member, which learns of them by their answer.
  if (signal === undefined || sender === listener) return;
  const missing = all
    .slice(0, all.indexOf(signal))
    .find(
      (sending) =>
        sending.connection === signal.connection &&
        sending.room === room &&
        isPlaced(sending) &&
        sending.epoch === epoch &&
        sending.offset > offset,
    );
  if (missing !== undefined)
    world.violation(
      `order: ${listener} heard signal ${number} of ${sender} in ${room} before message ${missing.number}, which was sent first`,
    );
}
