/** Sends batches to Redis: how a call of `publish.lua` is written and its reply read. */

import { readAscii, readUint64 } from '../../util/bytes.ts';
import type { Clock } from '../../util/clock.ts';
import { randomId } from '../../util/ids.ts';
import type { BackplaneError } from '../backplane.ts';
import { ID_BYTES, writeTicket } from '../envelope.ts';
import type { BackplaneMetrics } from '../metrics.ts';
import type { BatchResult, FirstResult, RoomBatch } from '../room-batch.ts';
import type { Keys } from './keys.ts';
import type { Link } from './link.ts';
import { errorFromCall, errorFromReply, isReadOnly } from './redis-errors.ts';
import { publishScript, type ScriptArgument } from './scripts.ts';

export interface PublisherOptions {
  readonly nodeId: string;
  readonly dedupWindowMs: number;
  readonly metaTtlMs: number;
  readonly clock: Clock;
  readonly metrics: BackplaneMetrics;
}

/** What became of one batch. */
export type Outcome = BatchResult | BackplaneError;

const STAGE = 'publish';
const NUMBERLESS: BatchResult = { epoch: '', first: 0, duplicates: null };
/** The fixed part of a batch's reply: u8 status, epoch, u64 first offset, u16 duplicates. */
const REPLY_BYTES = 1 + ID_BYTES + 8 + 2;
const DUPLICATE_BYTES = 2 + ID_BYTES + 8;

export class Publisher {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #options: PublisherOptions;

  constructor(link: Link, keys: Keys, options: PublisherOptions) {
    this.#link = link;
    this.#keys = keys;
    this.#options = options;
  }

  /** Resolves with one outcome for each batch, in order. Never rejects. */
  async send(batches: readonly RoomBatch[]): Promise<Outcome[]> {
    const { clock, metrics } = this.#options;
    const startMs = clock.nowMs();
    const sentAtMs = clock.wallMs();
    const drafts = batches.map((batch) => batch.draft(this.#options.nodeId, sentAtMs));
    const outcomes = new Array<Outcome>(batches.length);
    await Promise.all(
      groupCalls(batches).map((call) =>
        call.needsScript
          ? this.#commit(call.indexes, batches, drafts, outcomes)
          : this.#publish(call.indexes, batches, drafts, outcomes),
      ),
    );
    let messages = 0;
    for (const batch of batches) messages += batch.requests.length;
    const bytes = drafts.reduce((sum, draft) => sum + draft.length, 0);
    metrics.publishBatch(messages, batches.length, bytes, clock.nowMs() - startMs);
    return outcomes;
  }

  async #commit(
    indexes: readonly number[],
    batches: readonly RoomBatch[],
    drafts: readonly Buffer[],
    outcomes: Outcome[],
  ): Promise<void> {
    const keys: string[] = [];
    const { metaTtlMs, dedupWindowMs } = this.#options;
    const args: ScriptArgument[] = [randomId(ID_BYTES), metaTtlMs, dedupWindowMs, this.#link.lineage];
    for (const i of indexes) this.#addBatch(batches[i]!, drafts[i]!, keys, args);
    try {
      const reply = await publishScript.call(this.#link.redis, keys, args, this.#options.metrics);
      const reader = new ReplyReader(reply as Buffer);
      for (const i of indexes) outcomes[i] = reader.next(batches[i]!.hasHistory);
      if (reader.sawReadOnly) this.#link.reconnect('this Redis became a read-only replica');
    } catch (cause) {
      const error = errorFromCall(cause, STAGE);
      for (const i of indexes) outcomes[i] = error;
    }
  }

  #addBatch(batch: RoomBatch, draft: Buffer, keys: string[], args: ScriptArgument[]): void {
    const { room, requests, history, keyed } = batch;
    keys.push(this.#keys.meta(room), this.#keys.log(room));
    writeTicket(draft, 0, history.messages, history.ageMs, keyed);
    args.push(draft.subarray(0, -16));
    if (keyed === 0) return;
    const keyedIndexes = Buffer.allocUnsafe(keyed * 2);
    let at = 0;
    requests.forEach(({ key }, index) => {
      if (key === null) return;
      keys.push(this.#keys.dedup(room, key));
      at = keyedIndexes.writeUInt16BE(index, at);
    });
    args.push(keyedIndexes);
  }

  /** Rooms without history have nothing to number or to store. */
  async #publish(
    indexes: readonly number[],
    batches: readonly RoomBatch[],
    drafts: readonly Buffer[],
    outcomes: Outcome[],
  ): Promise<void> {
    const { redis } = this.#link;
    const publishing = indexes.map(async (i) => {
      try {
        await redis.publish(this.#keys.channel(batches[i]!.room), drafts[i]!);
        outcomes[i] = NUMBERLESS;
      } catch (cause) {
        outcomes[i] = errorFromCall(cause, STAGE);
      }
    });
    await Promise.all(publishing);
  }
}

interface Call {
  readonly needsScript: boolean;
  readonly indexes: number[];
}

/**
 * Rooms without history need no script, and one PUBLISH costs half of it. But each is a command of its own: for 64
 * rooms with one message each the script takes 10 us of this process and 5.5 us of Redis a message, PUBLISH 17 and 9.
 */
const MAX_PLAIN = 8;

/**
 * Which batches share a call: on a single Redis, all that need the script. This is the one place to change for Redis
 * Cluster, where it becomes one call for each partition.
 *
 * Rooms without history go one way or the other together: a batch with keys, which takes the script, must not
 * overtake one of the same room without.
 */
function groupCalls(batches: readonly RoomBatch[]): Call[] {
  const scripted: Call = { needsScript: true, indexes: [] };
  const plain: Call = { needsScript: false, indexes: [] };
  let hasKeys = false;
  let numberless = 0;
  for (const batch of batches) {
    if (batch.hasHistory) continue;
    numberless++;
    hasKeys ||= batch.keyed > 0;
  }
  const isPlain = numberless <= MAX_PLAIN && !hasKeys;
  batches.forEach((batch, i) => {
    (isPlain && !batch.hasHistory ? plain : scripted).indexes.push(i);
  });
  return [scripted, plain].filter((call) => call.indexes.length > 0);
}

/** Walks along the reply of `publish.lua`. */
class ReplyReader {
  readonly #reply: Buffer;
  #at = 0;
  sawReadOnly = false;

  constructor(reply: Buffer) {
    this.#reply = reply;
  }

  next(hasHistory: boolean): Outcome {
    if (this.#reply[this.#at] !== 0) return this.#error();
    const epoch = hasHistory ? readAscii(this.#reply, this.#at + 1, ID_BYTES) : '';
    const first = readUint64(this.#reply, this.#at + 1 + ID_BYTES);
    const count = this.#reply.readUInt16BE(this.#at + REPLY_BYTES - 2);
    this.#at += REPLY_BYTES;
    return { epoch, first, duplicates: count === 0 ? null : this.#duplicates(count) };
  }

  #duplicates(count: number): Map<number, FirstResult> {
    const duplicates = new Map<number, FirstResult>();
    for (let i = 0; i < count; i++) {
      const index = this.#reply.readUInt16BE(this.#at);
      const offset = readUint64(this.#reply, this.#at + 2 + ID_BYTES);
      const epoch = offset === 0 ? '' : readAscii(this.#reply, this.#at + 2, ID_BYTES);
      duplicates.set(index, { epoch, offset });
      this.#at += DUPLICATE_BYTES;
    }
    return duplicates;
  }

  #error(): BackplaneError {
    const length = this.#reply.readUInt16BE(this.#at + 1);
    const message = this.#reply.toString('utf8', this.#at + 3, this.#at + 3 + length);
    this.#at += 3 + length;
    this.sawReadOnly ||= isReadOnly(message);
    return errorFromReply(message, STAGE);
  }
}
