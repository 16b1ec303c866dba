/** What a check found: one line for people, one object for programs. */

export type Level = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** What was looked at, as `redis memory`. */
  readonly about: string;
  /** How it is, in a sentence without a full stop. */
  readonly says: string;
  /** What to do. Null where there is nothing to do. */
  readonly advice: string | null;
}

/** `advice` on what is well is a hint that may be passed over. */
export function ok(about: string, says: string, advice: string | null = null): Finding {
  return { level: 'ok', about, says, advice };
}

/** It works now, and will not always. */
export function warning(about: string, says: string, advice: string): Finding {
  return { level: 'warning', about, says, advice };
}

/** It does not work, or loses what was promised to be kept. */
export function problem(about: string, says: string, advice: string): Finding {
  return { level: 'problem', about, says, advice };
}
