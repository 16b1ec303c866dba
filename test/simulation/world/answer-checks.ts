/** What publishers are told of their messages is where members were given them. */
import type { SimulatedClient } from './simulated-client.ts';
import type { World } from './world.ts';

export function checkAnswers(world: World): void {
  const given = new Map<number, Set<string>>();
  for (const client of world.clients) noteGiven(given, client);
  for (const { owner, acknowledged } of world.clients) {
    for (const { room, payload, epoch, offset } of acknowledged) {
      // What Redis forgot may be stored again under another number.
      if (world.forgot(room)) continue;
      const positions = given.get(payload);
      if (positions === undefined || positions.has(`${epoch}:${offset}`)) continue;
      // A Redis that started again may go on with what it has in another numbering, from where it is.
      if (world.mayRenumber(room) && [...positions].some((one) => one.endsWith(`:${offset}`))) continue;
      const others = [...positions].join(' and ');
      world.violation(
        `misplaced: ${owner.name} was told that message ${payload} is ${epoch}:${offset} in ${room}, and members got it as ${others}`,
      );
    }
  }
}

function noteGiven(given: Map<number, Set<string>>, { stays }: SimulatedClient): void {
  for (const { log } of stays) {
    let epoch = '';
    let mark = 0;
    for (const [i, payload] of log.payloads.entries()) {
      for (; log.marks[mark] !== undefined && log.marks[mark]!.at <= i; mark++) {
        const { event } = log.marks[mark]!;
        if (
          event.kind === 'reset' ||
          (event.kind === 'joined' && (event.since === null || event.since[1] === 0))
        )
          epoch = event.epoch;
      }
      const positions = given.get(payload) ?? new Set();
      given.set(payload, positions.add(`${epoch}:${log.offsets[i]}`));
    }
  }
}
