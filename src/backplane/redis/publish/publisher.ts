/** Sends batches to Redis: writes a call of `publish.lua` and reads its reply. */

import { readAscii, readUint64 } from '../../../util/bytes.ts';
import type { Clock } from '../../../util/clock.ts';
import { randomId } from '../../../util/ids.ts';
import { BackplaneError } from '../../backplane.ts';
import { ID_BYTES } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { BatchResult, FirstResult, RoomBatch } from '../../room-batch.ts';
import type { Keys } from '../keys/keys.ts';
import type { Link } from '../link/link.ts';
import {
  isAnswer,
  isReadOnly,
  publishErrorFromCall,
  refusedPublish,
  StoredError,
} from '../link/redis-errors.ts';
import { publishScript } from '../scripts/scripts.ts';
import { publishCall } from './publish-call.ts';

export interface PublisherOptions {
  readonly nodeId: string;
  readonly dedupWindowMs: number;
  readonly metaTtlMs: number;
  readonly clock: Clock;
  readonly metrics: BackplaneMetrics;
  readonly lineages: RoomLineages;
  /** Of a server of a cluster: its number, see `Envelope.publishedOn`. Default 0. */
  readonly serverNumber?: number;
  /** This message and all that were sent before it are stored: see `Evidence`. */
  stored?(room: string, epoch: string, offset: number): void;
  /** Redis replied with an error: it may refuse more. */
  refused?(error: BackplaneError): void;
}

/** See `Lineages`. */
export interface RoomLineages {
  /** The one that all rooms have, or null if they differ. */
  readonly common: string | null;
  of(room: string): string;
}

/** The outcome of one batch. */
export type Outcome = BatchResult | BackplaneError;

const NO_SPACE = Buffer.alloc(0);
/** More is not worth keeping while idle. */
const MAX_SPACE = 256 * 1024;
const NOTHING: never[] = [];
const NUMBERLESS: BatchResult = { epoch: '', first: 0, duplicates: null };
/** The fixed part of a batch's reply: u8 status, epoch, u64 first offset, u16 duplicates. */
const REPLY_BYTES = 1 + ID_BYTES + 8 + 2;
const DUPLICATE_BYTES = 2 + ID_BYTES + 8;

export class Publisher {
  readonly #link: Link;
  readonly #shard: string | undefined;
  readonly #keys: Keys;
  readonly #options: PublisherOptions;
  /** For the next call: free, since the previous one was answered. */
  #space: Buffer = NO_SPACE;

  constructor(link: Link, keys: Keys, options: PublisherOptions) {
    this.#link = link;
    this.#shard = link.isCluster ? link.address : undefined;
    this.#keys = keys;
    this.#options = options;
  }

  /** Resolves with one outcome for each batch, in order. Never rejects. */
  async send(batches: readonly RoomBatch[]): Promise<Outcome[]> {
    const { clock, metrics } = this.#options;
    const startMs = clock.nowMs();
    const sentAtMs = clock.wallMs();
    const { scripted, plain } = split(batches);
    const [committed, published] = await Promise.all([
      scripted.length === 0 ? NOTHING : this.#commitAll(scripted, sentAtMs),
      plain.length === 0 ? NOTHING : this.#publish(plain, sentAtMs),
    ]);
    let messages = 0;
    let bytes = 0;
    for (const batch of batches) {
      messages += batch.requests.length;
      bytes += batch.bytes;
    }
    metrics.publishBatch(messages, batches.length, bytes, clock.nowMs() - startMs, this.#shard);
    if (plain.length === 0) return committed;
    const [nextCommitted, nextPublished] = [committed.values(), published.values()];
    return batches.map((batch) => (plain.includes(batch) ? nextPublished : nextCommitted).next().value!);
  }

  /** One call, or one for each lineage: they differ after promotions that lost writes of some partitions. */
  async #commitAll(batches: readonly RoomBatch[], sentAtMs: number): Promise<Outcome[]> {
    const { lineages } = this.#options;
    if (lineages.common !== null) return this.#commit(batches, lineages.common, sentAtMs);
    const groups = new Map<string, RoomBatch[]>();
    for (const batch of batches) {
      const lineage = lineages.of(batch.room);
      const group = groups.get(lineage);
      if (group === undefined) groups.set(lineage, [batch]);
      else group.push(batch);
    }
    const outcomes = new Map<RoomBatch, Outcome>();
    const sending = [...groups].map(async ([lineage, group]) => {
      const replies = await this.#commit(group, lineage, sentAtMs);
      group.forEach((batch, i) => {
        outcomes.set(batch, replies[i]!);
      });
    });
    await Promise.all(sending);
    return batches.map((batch) => outcomes.get(batch)!);
  }

  async #commit(batches: readonly RoomBatch[], lineage: string, sentAtMs: number): Promise<Outcome[]> {
    const { nodeId, metaTtlMs, dedupWindowMs, metrics, serverNumber: publishedOn = 0 } = this.#options;
    const head = [randomId(ID_BYTES), String(metaTtlMs), String(dedupWindowMs), lineage];
    const space = this.#space;
    this.#space = NO_SPACE;
    const { isCluster } = this.#link;
    try {
      const call = publishCall(
        batches,
        this.#keys,
        { nodeId, sentAtMs, head, publishedOn, isCluster },
        space,
      );
      const reply = await publishScript.callPacked(this.#link, call, metrics);
      // Redis has read all of it. After an error some may still be in the socket, which keeps the memory.
      if (call.buffer.byteLength <= MAX_SPACE) this.#space = Buffer.from(call.buffer);
      const reader = new ReplyReader(reply as Buffer);
      const outcomes = batches.map((batch) => reader.next(batch.hasHistory));
      if (reader.sawReadOnly && !isCluster) this.#link.reconnect('this Redis became a read-only replica');
      if (reader.refusal !== null) this.#options.refused?.(reader.refusal);
      this.#noteNewest(batches, outcomes);
      return outcomes;
    } catch (cause) {
      const error = publishErrorFromCall(cause);
      if (isAnswer(error)) this.#options.refused?.(error);
      return batches.map(() => error);
    }
  }

  /** One call is one step: it is stored as a whole. */
  #noteNewest(batches: readonly RoomBatch[], outcomes: readonly Outcome[]): void {
    for (let i = batches.length - 1; i >= 0; i--) {
      const [batch, outcome] = [batches[i]!, outcomes[i]!];
      if (outcome instanceof BackplaneError || outcome.epoch === '' || batch.isSignal) continue;
      const offset = outcome.first + batch.requests.length - (outcome.duplicates?.size ?? 0) - 1;
      return this.#options.stored?.(batch.room, outcome.epoch, offset);
    }
  }

  /** Rooms without history have nothing to number or to store. */
  #publish(batches: readonly RoomBatch[], sentAtMs: number): Promise<Outcome[]> {
    const { nodeId, serverNumber } = this.#options;
    const publishing = batches.map(async (batch): Promise<Outcome> => {
      try {
        const draft = batch.draft(nodeId, sentAtMs, serverNumber);
        await this.#link.publish(this.#keys.channel(batch.room), draft);
        return NUMBERLESS;
      } catch (cause) {
        const error = publishErrorFromCall(cause);
        if (isAnswer(error)) this.#options.refused?.(error);
        return error;
      }
    });
    return Promise.all(publishing);
  }
}

/**
 * Rooms without history need no script, and one PUBLISH costs half of it. But each is a separate command: for
 * 64 rooms with one message each the script takes 10 us of this process and 5.5 us of Redis a message,
 * PUBLISH 17 and 9.
 */
const MAX_PLAIN = 8;

/**
 * Which batches share a call: all of this server that need the script.
 *
 * Rooms without history go one way or the other together: a batch with keys, which needs the script, must not
 * overtake one of the same room without. Signals need the script, which tells them where the room stands, and so does what replaces something.
 */
function split(batches: readonly RoomBatch[]): {
  scripted: readonly RoomBatch[];
  plain: readonly RoomBatch[];
} {
  let needsScript = false;
  let numberless = 0;
  for (const batch of batches) {
    if (batch.hasHistory) continue;
    numberless++;
    needsScript ||= batch.keyed > 0 || batch.isSignal || batch.keepsNewest;
  }
  if (numberless === 0 || numberless > MAX_PLAIN || needsScript) return { scripted: batches, plain: NOTHING };
  return {
    scripted: batches.filter((batch) => batch.hasHistory),
    plain: batches.filter((batch) => !batch.hasHistory),
  };
}

/** Walks along the reply of `publish.lua`. */
class ReplyReader {
  readonly #reply: Buffer;
  #at = 0;
  sawReadOnly = false;
  refusal: BackplaneError | null = null;

  constructor(reply: Buffer) {
    this.#reply = reply;
  }

  next(hasHistory: boolean): Outcome {
    if (this.#reply[this.#at] !== 0) return this.#error(this.#reply[this.#at] === 2);
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

  #error(isStored: boolean): BackplaneError {
    const length = this.#reply.readUInt16BE(this.#at + 1);
    const message = this.#reply.toString('utf8', this.#at + 3, this.#at + 3 + length);
    this.#at += 3 + length;
    this.sawReadOnly ||= isReadOnly(message);
    this.refusal = isStored ? new StoredError(message) : refusedPublish(message);
    return this.refusal;
  }
}
