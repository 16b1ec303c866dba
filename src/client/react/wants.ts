/** What components want of a room, and the one join that serves them all. */
import type { RoomOptions } from '../room-events.ts';

export interface Wants<P = unknown> extends RoomOptions<P> {
  /** Messages that the shared list holds for it. */
  readonly keep?: number;
  /** It shows what goes wrong: nobody else needs to be told. */
  readonly watches?: boolean;
}

/** The longest history, members if anyone asks for them; of what can be said only once, the newest. */
export function joinOptions(wants: readonly Wants[]): RoomOptions {
  const newest = <K extends keyof Wants>(field: K) =>
    wants.findLast((one) => one[field] !== undefined)?.[field];
  const last = wants.some((one) => one.last !== undefined) ? most(wants, 'last') : undefined;
  return given({
    last,
    since: newest('since'),
    resume: newest('resume'),
    members: wants.some(({ members }) => members) || undefined,
    presence: newest('presence'),
  });
}

export function most(wants: readonly Wants[], field: 'last' | 'keep'): number {
  return Math.max(0, ...wants.map((one) => one[field] ?? 0));
}

/** Equal for equal wants, so that an object written anew in each render changes nothing. */
export function fingerprint(value: unknown): string {
  const text = JSON.stringify(value, (_name, part) => (typeof part === 'bigint' ? `${part}n` : part));
  return text ?? '';
}

function given(options: { [K in keyof RoomOptions]: RoomOptions[K] | undefined }): RoomOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
