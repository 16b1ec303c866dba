import type { World } from './world.ts';

/** What a publisher was told is refused, nobody was given: where it may have been stored, it is told that this is unknown. */
export function checkRefused(world: World): void {
  const refused = new Map<number, string>();
  for (const { owner, outcomes } of world.clients) {
    for (const { payload, end } of outcomes) if (end === 'refused') refused.set(payload, owner.name);
  }
  if (refused.size === 0) return;
  for (const { stays } of world.clients) {
    for (const { log } of stays) {
      for (const payload of log.payloads) {
        const publisher = refused.get(payload);
        if (publisher === undefined) continue;
        refused.delete(payload);
        world.violation(
          `refused: ${log.name} was given message ${payload}, which was refused to ${publisher}`,
        );
      }
    }
  }
}
