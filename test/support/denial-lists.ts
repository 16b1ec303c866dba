import type { Denial } from '../../src/backplane/denials.ts';

/** What a list of denials says, told apart. */
export interface DenialLists {
  readonly denied: readonly { readonly subject: string; readonly leftMs: number }[];
  /** Subjects. */
  readonly lifted: readonly string[];
}

export function listsOf(denials: readonly Denial[]): DenialLists {
  return {
    denied: denials.filter((one) => !one.isLifted).map(({ subject, leftMs }) => ({ subject, leftMs })),
    lifted: denials.filter((one) => one.isLifted).map(({ subject }) => subject),
  };
}

/** One that was lost, as a node of an earlier version knows it: without the time. */
export function lostDenial(subject: string, leftMs: number): Denial {
  return { subject, leftMs, isLifted: false, changedAtMs: 0 };
}
