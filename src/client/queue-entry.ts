/** One publish that has not settled. */
import type { PublishOptions, PublishResult } from '../protocol/frames.ts';
import type { Chunk } from './codec.ts';
import type { Environment } from './environment.ts';

/** A publish as it was made. */
export interface Publish {
  readonly room: string;
  readonly data: Chunk;
  readonly options: PublishOptions;
}

export interface Outcome {
  resolve(result: PublishResult): void;
  reject(error: unknown): void;
}

/** By both clocks: one may stand still while the machine sleeps, the other may be set back. */
export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

export interface Entry extends Publish, Outcome {
  /** Of the encoded payload. */
  readonly bytes: number;
  /** When it was sent on the present connection; null: it is not on its way. */
  sentAt: Moment | null;
  /** When it was first sent without a clear answer: it may be stored since. Null: surely not stored. */
  doubtfulSince: Moment | null;
  isSettled: boolean;
  /** Called once it has settled. */
  settled: () => void;
}

export function newEntry(publish: Publish, bytes: number, outcome: Outcome): Entry {
  return {
    ...publish,
    ...outcome,
    bytes,
    sentAt: null,
    doubtfulSince: null,
    isSettled: false,
    settled: () => undefined,
  };
}

export function momentOf({ scheduler }: Environment): Moment {
  return { nowMs: scheduler.nowMs(), wallMs: scheduler.wallMs() };
}
