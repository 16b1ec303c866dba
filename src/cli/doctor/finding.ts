/** The result of a check: one line for people, one object for programs. */

export type Level = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** What was checked, such as `redis memory`. */
  readonly about: string;
  /** The finding, in a sentence without a full stop. */
  readonly says: string;
  /** What to do, or null. */
  readonly advice: string | null;
}

/** `advice` here is a hint that may be ignored. */
export function ok(about: string, says: string, advice: string | null = null): Finding {
  return { level: 'ok', about, says, advice };
}

/** It works now, but may not always. */
export function warning(about: string, says: string, advice: string): Finding {
  return { level: 'warning', about, says, advice };
}

/** It does not work, or loses what should be kept. */
export function problem(about: string, says: string, advice: string): Finding {
  return { level: 'problem', about, says, advice };
}
