/** A call of `publish.lua` as the bytes that go to Redis, written in one piece: each message is copied once, from its frame. */
import { draftBytes, writeDraft, writeTicket } from '../envelope.ts';
import type { RoomBatch } from '../room-batch.ts';
import type { Keys } from './keys.ts';
import { publishScript } from './scripts.ts';

export interface PublishCallOptions {
  readonly nodeId: string;
  readonly sentAtMs: number;
  /** The arguments that come before those of the batches: see `publish.lua`. */
  readonly head: readonly string[];
}

/** `*<up to 10 digits>\r\n`, and `$` likewise; what a bulk string ends with is counted to it. */
const HEADER_BYTES = 13;
const BULK_BYTES = HEADER_BYTES + 2;
const CR = 13;
const LF = 10;
const DOLLAR = 36;
const STAR = 42;

/** What a batch adds to a call. */
interface Part {
  readonly batch: RoomBatch;
  readonly keys: readonly string[];
  readonly draftBytes: number;
}

/** The command EVALSHA for these batches. */
export function publishCall(batches: readonly RoomBatch[], keys: Keys, options: PublishCallOptions): Buffer {
  const parts = batches.map((batch) => partOf(batch, keys));
  const { head } = options;
  let keyCount = 0;
  let argCount = head.length;
  let size = HEADER_BYTES;
  for (const { batch, keys, draftBytes } of parts) {
    keyCount += keys.length;
    argCount += batch.keyed > 0 ? 2 : 1;
    size += draftBytes + 2 * BULK_BYTES + batch.keyed * 2;
    // A UTF-16 unit is at most three bytes in UTF-8.
    for (const key of keys) size += key.length * 3 + BULK_BYTES;
  }
  const words = ['evalsha', publishScript.sha, String(keyCount)];
  for (const word of [...words, ...head]) size += word.length + BULK_BYTES;
  const writer = new CallWriter(size);
  writer.count(STAR, words.length + keyCount + argCount);
  for (const word of words) writer.text(word);
  for (const { keys } of parts) for (const key of keys) writer.text(key);
  for (const word of head) writer.text(word);
  for (const part of parts) writer.batch(part, options);
  return writer.written();
}

function partOf(batch: RoomBatch, keys: Keys): Part {
  const { room, requests, keyed } = batch;
  const own = [keys.meta(room), keys.log(room)];
  if (keyed > 0) for (const { key } of requests) if (key !== null) own.push(keys.dedup(room, key));
  return { batch, keys: own, draftBytes: draftBytes(requests) };
}

class CallWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size);
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

  /** A bulk string. */
  text(text: string): void {
    const start = this.#at;
    this.count(DOLLAR, text.length);
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return this.#utf8(text, start);
      this.#bytes[this.#at++] = unit;
    }
    this.#endLine();
  }

  #utf8(text: string, start: number): void {
    this.#at = start;
    this.count(DOLLAR, Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at);
    this.#endLine();
  }

  batch({ batch, draftBytes }: Part, { nodeId, sentAtMs }: PublishCallOptions): void {
    const { requests, history, keyed } = batch;
    this.count(DOLLAR, draftBytes);
    const end = writeDraft(this.#bytes, this.#at, requests, nodeId, sentAtMs);
    writeTicket(this.#bytes, this.#at, history.messages, history.ageMs, keyed);
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
