/** Who publishes with `echo: false` does not get its message: not from its node, and not from the client library, which knows its number. */
import type { OwnMessage, SimulatedClient } from './simulated-client.ts';
import type { World } from './world.ts';

export function checkOwn(world: World): void {
  for (const client of world.clients) {
    const stored = new Map(client.acknowledged.map((one) => [one.payload, one]));
    for (const own of client.ownMessages.values()) {
      const answer = stored.get(own.payload);
      if (own.stay === null || answer === undefined) continue;
      if (wasGiven(own, answer.epoch, answer.offset))
        world.violation(
          `${client.owner.name} is given message ${own.payload} in ${own.stay.log.room}, which it wanted no echo of`,
        );
    }
  }
}

/** A publish waits for the join that was sent before it: the publisher gets its own message. */
export function checkAfterJoins(world: World): void {
  for (const { owner, acknowledged, afterJoins, sendings } of world.clients) {
    for (const { payload, log, connections } of afterJoins) {
      const sent = sendings.all.find(({ number, isSignal }) => number === payload && !isSignal);
      const answer = acknowledged.find((one) => one.payload === payload);
      const [first] = log.marks;
      if (answer === undefined || sent?.connection !== connections || sent.end !== 'ok') continue;
      if (first?.event.kind !== 'joined' || first.event.epoch !== answer.epoch) continue;
      if ((first.event.from ?? first.event.offset) >= answer.offset)
        world.violation(
          `${owner.name} joined ${log.room} after message ${payload}, which it published after its join`,
        );
    }
  }
}

/** Holes in what a member was given that may be messages of its own: where they are, or that it was never told. */
export function noteOwn(world: World, client: SimulatedClient): void {
  for (const { room, payload, offset } of client.acknowledged) {
    if (!client.ownMessages.has(payload)) continue;
    // Tried again, it may have been stored twice where Redis forgot it: nobody was told of the first time.
    const mayBeTwice = world.forgot(room) && sentTimes(client, payload) > 1;
    for (const { log } of client.stays.filter((stay) => stay.log.room === room)) {
      log.ownBefore(offset);
      if (mayBeTwice) log.mayLack += sentTimes(client, payload) - 1;
    }
  }
  for (const { room, payload, end } of client.outcomes) {
    if ((end !== 'unknown' && end !== 'closed' && end !== null) || !client.ownMessages.has(payload)) continue;
    for (const { log } of client.stays) if (log.room === room) log.mayLack++;
  }
}

function sentTimes({ sendings }: SimulatedClient, payload: number): number {
  return sendings.all.filter(({ number, isSignal }) => number === payload && !isSignal).length;
}

/** In the stay in which it was published, and in one numbering. */
function wasGiven({ stay, atMark, payload }: OwnMessage, epoch: string, offset: number): boolean {
  const { payloads, offsets, marks } = stay!.log;
  const at = payloads.indexOf(payload);
  if (at === -1 || offsets[at] !== offset || epoch === '') return false;
  // Messages that outlive their numbering keep their offsets. The answer names the numbering that they were stored in.
  const begun = marks.findLast(({ at: markAt, event }) => markAt <= at && 'epoch' in event)?.event;
  if (begun !== undefined && 'epoch' in begun && begun.epoch !== epoch) return false;
  const later = marks.slice(atMark).filter((mark) => mark.at <= at);
  return !later.some(({ event }) => event.kind === 'reset' || event.kind === 'left');
}
