/** What the protocol promises a member, checked against all that one connection was told of one room. */
import type { ServerFrame } from '../../src/protocol/frames.ts';

export interface Told {
  readonly frames: readonly ServerFrame[];
  readonly room: string;
  /** The offset after which a member that gets this reply is to be served; null where it is not the reply of a join. */
  joinedAt(id: number, result: object): number | null;
  /** Whether this is the reply of a leave. */
  isLeave(id: number): boolean;
  /** Offsets that the connection asked not to get. */
  readonly unheard: ReadonlySet<number>;
}

/**
 * What is wrong with what a connection was told: an offset that does not follow on, a message twice, a hole that no `gap` and
 * no `reset` names, a message of the room before the join was answered or after the leave was. Empty where all is well.
 */
export function brokenPromises({ frames, room, joinedAt, isLeave, unheard }: Told): string[] {
  const broken: string[] = [];
  let at: number | null = null;
  const follow = (from: number, to: number, what: string) => {
    if (at === null) {
      broken.push(`${what} outside of a membership`);
      return;
    }
    let next = at + 1;
    while (next < from && unheard.has(next)) next++;
    if (from !== next) broken.push(`${what} where ${next} was to follow`);
    at = to;
  };
  for (const frame of frames) {
    if (frame[0] === 'ok') {
      at = joinedAt(frame[1], frame[2]) ?? (isLeave(frame[1]) ? null : at);
    } else if (frame[1] !== room) continue;
    else if (frame[0] === 'message' && frame[2] !== 0) follow(frame[2], frame[2], `message ${frame[2]}`);
    else if (frame[0] === 'gap') follow(frame[2], frame[3], `gap ${frame[2]}-${frame[3]}`);
    else if (frame[0] === 'reset') at = frame[3];
  }
  return broken;
}
