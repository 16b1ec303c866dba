import type { JoinOptions, Position } from '../protocol/frames.ts';
import { fields } from './codec.ts';
import type { RoomOptions } from './room-events.ts';

/** What a join asks for, beside members and presence. `last` and `resume` say where to begin: who has a position goes on from there. */
export function joinOptions({ last, resume, since }: RoomOptions, position: Position | null): JoinOptions {
  return fields({
    since: position ?? undefined,
    resume: position === null ? resume : undefined,
    // Nothing came yet, so that this is still the first join.
    last: position === (since ?? null) ? last : undefined,
  });
}
