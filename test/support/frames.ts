/** Tiny frames for backplane tests: what a backplane has to know of a frame is where its offset is. */
import type { BackplaneError, PublishRequest } from '../../src/backplane/backplane.ts';
import type { Envelope } from '../../src/backplane/envelope.ts';
import type { HistoryPolicy } from '../../src/backplane/history-policy.ts';
import { readUint64 } from '../../src/util/bytes.ts';

export const OFFSET_AT = 3;
const HEAD = Buffer.from([0x93, 0xa1, 0x6d, 0xcf, 0, 0, 0, 0, 0, 0, 0, 0]);

export function tinyFrame(text: string): Buffer {
  return Buffer.concat([HEAD, Buffer.from(text)]);
}

export interface Seen {
  readonly offset: number;
  readonly text: string;
}

/** The frames of an envelope as the members would read them. */
export function framesOf(envelope: Envelope): Seen[] {
  return Array.from({ length: envelope.count }, (_, i) => {
    const frame = envelope.slice(i, i + 1);
    return { offset: readUint64(frame, OFFSET_AT + 1), text: frame.toString('utf8', HEAD.length) };
  });
}

export function textsOf(envelopes: readonly Envelope[]): string[] {
  return envelopes.flatMap(framesOf).map(({ text }) => text);
}

export interface Settled {
  readonly error: BackplaneError | null;
  readonly epoch: string;
  readonly offset: number;
  readonly duplicate: boolean;
}

export interface PublishSettings {
  readonly history?: HistoryPolicy;
  readonly key?: string;
  readonly exclude?: number;
}

export const KEPT: HistoryPolicy = { messages: 100, ageMs: 60_000 };
export const UNKEPT: HistoryPolicy = { messages: 0, ageMs: 0 };

/** Publishes one tiny frame and resolves with how it was settled. Fails if it is settled twice, or too early. */
export function publishTiny(
  to: { publish(request: PublishRequest): void },
  room: string,
  text: string,
  { history = KEPT, key, exclude = 0 }: PublishSettings = {},
): Promise<Settled> {
  return new Promise((resolve, reject) => {
    let times = 0;
    let hasReturned = false;
    to.publish({
      room,
      history,
      frame: tinyFrame(text),
      offsetAt: OFFSET_AT,
      key: key ?? null,
      exclude,
      settled(error, epoch, offset, duplicate) {
        if (++times > 1 || !hasReturned)
          reject(new Error(`settled ${times} times, or before publish returned`));
        resolve({ error, epoch, offset, duplicate });
      },
    });
    hasReturned = true;
  });
}
