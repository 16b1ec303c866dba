/**
 * A call of `publish.lua` as the bytes for Redis, written in one piece: each message is copied once, from its
 * frame.
 */
import { draftBytes, writeDraft, writePublishOptions } from '../../envelope.ts';
import type { RoomBatch } from '../../room-batch.ts';
import type { Keys } from '../keys/keys.ts';
import { publishScript } from '../scripts/scripts.ts';

export interface PublishCallOptions {
  readonly nodeId: string;
  readonly sentAtMs: number;
  /** The arguments before those of the batches: see `publish.lua`. */
  readonly head: readonly string[];
  /** See `Envelope.publishedOn`. Default 0. */
  readonly publishedOn?: number;
  /** In the form for Redis Cluster: see `Script.callMany`. */
  readonly isCluster?: boolean;
}

/** `*<up to 10 digits>\r\n`, and `$` likewise, including the end of the previous bulk string. */
const HEADER_BYTES = 13;
const BULK_BYTES = HEADER_BYTES + 2;
/** Maximum bytes of a UTF-16 unit in UTF-8. */
const UNIT_BYTES = 3;
const LEAST_SPACE = 16 * 1024;
const CR = 13;
const LF = 10;
const DOLLAR = 36;
const STAR = 42;

/** The command EVALSHA for these batches: in `space` if it fits, else in new memory. */
export function publishCall(
  batches: readonly RoomBatch[],
  keys: Keys,
  options: PublishCallOptions,
  space: Buffer,
): Buffer {
  const { head } = options;
  let keyCount = 0;
  let argCount = head.length;
  for (const { keyed, keepsNewest } of batches) {
    keyCount += 2 + (keepsNewest ? 1 : 0) + keyed;
    argCount += keyed > 0 ? 2 : 1;
  }
  const { isCluster = false } = options;
  const words = ['evalsha', publishScript.shaOfMany({ isCluster }), isCluster ? '0' : String(keyCount)];
  const size = mostBytes(batches, keys, [...words, ...head]);
  const writer = new CallWriter(
    size <= space.length ? space : Buffer.allocUnsafeSlow(Math.max(size, LEAST_SPACE)),
  );
  writer.count(STAR, words.length + keyCount + argCount + (isCluster ? 1 : 0));
  for (const word of words) writer.text('', word);
  if (!isCluster) for (const batch of batches) writeKeys(writer, batch, keys);
  for (const word of head) writer.text('', word);
  for (const batch of batches) writer.batch(batch, options);
  if (isCluster) {
    for (const batch of batches) writeKeys(writer, batch, keys);
    writer.text('', String(keyCount));
  }
  return writer.written();
}

function mostBytes(batches: readonly RoomBatch[], keys: Keys, words: readonly string[]): number {
  // Of the whole, and of the number of keys.
  let size = HEADER_BYTES + BULK_BYTES + HEADER_BYTES;
  for (const word of words) size += word.length + BULK_BYTES;
  const headUnits = keys.metaHeads[0]!.length + keys.logHeads[0]!.length;
  for (const { room, requests, keyed, keepsNewest } of batches) {
    if (keepsNewest) size += (keys.newestHeads[0]!.length + 8 + room.length) * UNIT_BYTES + BULK_BYTES;
    // Tags differ in length by a few characters.
    size += draftBytes(requests) + (headUnits + 16 + 2 * room.length) * UNIT_BYTES + 4 * BULK_BYTES;
    if (keyed === 0) continue;
    size += keyed * 2;
    for (const { key } of requests)
      if (key !== null) size += keys.dedup(room, key).length * UNIT_BYTES + BULK_BYTES;
  }
  return size;
}

function writeKeys(writer: CallWriter, { room, requests, keyed, keepsNewest }: RoomBatch, keys: Keys): void {
  const partition = keys.partitionOf(room);
  writer.text(keys.metaHeads[partition]!, room);
  writer.text(keys.logHeads[partition]!, room);
  if (keepsNewest) writer.text(keys.newestHeads[partition]!, room);
  if (keyed === 0) return;
  for (const { key } of requests) if (key !== null) writer.text('', keys.dedup(room, key));
}

class CallWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(space: Buffer) {
    this.#bytes = space;
  }

  written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /** A line with a type and a number. */
  count(type: number, count: number): void {
    const bytes = this.#bytes;
    bytes[this.#at++] = type;
    let unit = 1;
    while (unit * 10 <= count) unit *= 10;
    for (; unit >= 1; unit = Math.floor(unit / 10)) bytes[this.#at++] = 48 + (Math.floor(count / unit) % 10);
    this.#endLine();
  }

  /** A bulk string, in two parts so that they need not be joined. */
  text(head: string, tail: string): void {
    const start = this.#at;
    this.count(DOLLAR, head.length + tail.length);
    if (!this.#ascii(head) || !this.#ascii(tail)) this.#utf8(head + tail, start);
    this.#endLine();
  }

  /** Stops and returns false if it is not all ASCII. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    const { length } = text;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return false;
      bytes[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  #utf8(text: string, start: number): void {
    this.#at = start;
    this.count(DOLLAR, Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at);
  }

  batch(
    { requests, history, keyed }: RoomBatch,
    { nodeId, sentAtMs, publishedOn }: PublishCallOptions,
  ): void {
    this.count(DOLLAR, draftBytes(requests));
    const end = writeDraft(this.#bytes, this.#at, requests, nodeId, sentAtMs);
    writePublishOptions(this.#bytes, this.#at, history, keyed, publishedOn);
    this.#at = end;
    this.#endLine();
    if (keyed === 0) return;
    this.count(DOLLAR, keyed * 2);
    requests.forEach(({ key }, index) => {
      if (key !== null) this.#at = this.#bytes.writeUInt16BE(index, this.#at);
    });
    this.#endLine();
  }

  #endLine(): void {
    this.#bytes[this.#at++] = CR;
    this.#bytes[this.#at++] = LF;
  }
}
