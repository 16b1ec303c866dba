import { setTimeout as delay } from 'node:timers/promises';

/** For how long something is to last. Not a way to wait for an event. */
export { delay };

export interface WaitOptions {
  /** Default 5,000. */
  readonly timeoutMs?: number;
  /** Default 10. */
  readonly intervalMs?: number;
  /** What is waited for, for the error. Default: the predicate's own source. */
  readonly for?: string;
}

/**
 * Resolves with the predicate's first truthy value. For states that announce themselves by no event; where there is an
 * event, await that. What the predicate throws counts as "not yet" and is part of the error in the end.
 */
export async function waitFor<T>(
  predicate: () => T | Promise<T>,
  { timeoutMs = 5000, intervalMs = 10, for: what = predicate.toString() }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  do {
    last = await attempt(predicate);
    if (last && !(last instanceof Failure)) return last as NonNullable<T>;
    await delay(intervalMs);
  } while (performance.now() < deadline);
  const reason = last instanceof Failure ? `it threw: ${String(last.cause)}` : `it was last ${String(last)}`;
  throw new Error(`waited ${timeoutMs} ms for ${what}; ${reason}`, {
    cause: last instanceof Failure ? last.cause : undefined,
  });
}

/** Rejects when the promise takes longer than `timeoutMs`. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

class Failure {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

async function attempt<T>(predicate: () => T | Promise<T>): Promise<T | Failure> {
  try {
    return await predicate();
  } catch (error) {
    return new Failure(error);
  }
}
