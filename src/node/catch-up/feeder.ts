import type { Envelope } from '../../backplane/envelope.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { GapReason, PushFrame } from '../../protocol/frames.ts';
import { concatBytes } from '../../util/bytes.ts';
import { transcoded } from '../rooms/transcode.ts';
import type { Cursor } from './cursor.ts';
import type { Portions } from './portions.ts';

export interface FeederParts {
  readonly nodeId: string;
  readonly metrics: NodeMetrics;
  readonly portions: Portions;
}

/**
 * Sends a cursor's connection the messages it is missing, and advances the cursor. They leave before the
 * room's messages.
 */
export class Feeder {
  readonly #parts: FeederParts;
  /** Offsets of replaced messages that the connection was not told of yet, while a cursor is fed; 0: none. */
  #replacedFrom = 0;
  #replacedTo = 0;

  constructor(parts: FeederParts) {
    this.#parts = parts;
  }

  /** Feeds from the node's memory, as much as one turn allows. */
  feedRemembered(cursor: Cursor): void {
    const { recent, sentOffset } = cursor.feed;
    const { portions } = this.#parts;
    const most = portions.left(cursor.connection);
    let bytes = 0;
    for (const envelope of recent.after(cursor.offset, most)) {
      if (envelope.last > sentOffset || bytes > most) break;
      bytes += this.#feed(cursor, envelope);
    }
    this.#tellReplaced(cursor);
    portions.fed(cursor.connection, bytes, false);
  }

  /** Feeds a page that was read, as much of it as one turn allows, and one envelope at least. */
  feedPage(cursor: Cursor, envelopes: readonly Envelope[]): void {
    const { portions } = this.#parts;
    const most = portions.left(cursor.connection);
    let bytes = 0;
    for (const envelope of envelopes) cursor.feed.recent.replaced.note(envelope);
    for (const envelope of envelopes) {
      if (envelope.last <= cursor.offset) continue;
      // The page may reach beyond the topic's position: the topic delivers that part.
      if (envelope.last > cursor.feed.sentOffset || bytes > most) break;
      // A page has no holes, unless the store lost something.
      if (envelope.first > cursor.offset + 1) this.gap(cursor, envelope.first - 1, 'expired');
      bytes += this.#feed(cursor, envelope);
    }
    this.#tellReplaced(cursor);
    portions.fed(cursor.connection, bytes, true);
  }

  /** Feeds what a room without history keeps, all of it at once: its limits are about one portion. */
  feedNewest(cursor: Cursor, nowMs: number): void {
    const { connection, feed, last, mark } = cursor;
    const messages =
      feed.newest?.after(mark, nowMs).filter(({ exclude }) => exclude !== connection.number) ?? [];
    const wanted = last === null ? messages : messages.slice(-last);
    cursor.begin(true);
    this.#parts.metrics.recovery.recovered += wanted.length;
    const bytes = this.#send(cursor, Buffer.concat(wanted.map(({ frame }) => frame)));
    this.#parts.portions.fed(connection, bytes, false);
  }

  /** Messages up to this offset do not follow. */
  gap(cursor: Cursor, to: number, reason: GapReason): void {
    cursor.begin(false, to);
    this.#tellReplaced(cursor);
    const { recovery } = this.#parts.metrics;
    // What is left out on purpose is no loss.
    if (reason === 'expired') recovery.gaps++;
    if (reason === 'replaced') recovery.replaced += to - cursor.offset;
    this.#push(cursor, ['gap', cursor.feed.room.name, cursor.offset + 1, to, reason]);
    cursor.offset = to;
  }

  /**
   * The numbering that the client knows has ended: the cursor drops its position and continues after this
   * one.
   */
  reset(cursor: Cursor, epoch: string, offset: number): void {
    cursor.begin(false, offset);
    this.#push(cursor, ['reset', cursor.feed.room.name, epoch, offset]);
    cursor.startAfter([epoch, offset]);
  }

  #push({ connection, epoch }: Cursor, frame: PushFrame): void {
    connection.push(frame, epoch);
    connection.flushBeforeMessages();
  }

  #feed(cursor: Cursor, envelope: Envelope): number {
    if (envelope.conflates) return this.#feedConflated(cursor, envelope);
    const frames = this.#framesFor(cursor, envelope);
    this.#parts.metrics.recovery.recovered += envelope.last - Math.max(cursor.offset, envelope.first - 1);
    this.#tellReplaced(cursor);
    cursor.offset = envelope.last;
    return this.#send(cursor, frames);
  }

  #send({ connection, epoch }: Cursor, frames: Uint8Array): number {
    const message = transcoded(frames, connection.codec, epoch, this.#parts.metrics);
    if (message !== null && message.length > 0) {
      connection.queue(message);
      connection.flushBeforeMessages();
    }
    return frames.length;
  }

  /** Leaves out what newer messages have replaced, and names the numbers. */
  #feedConflated(cursor: Cursor, envelope: Envelope): number {
    const { connection, feed } = cursor;
    const isOwn = envelope.hasExcludes && envelope.origin === this.#parts.nodeId;
    let bytes = 0;
    let run: Buffer[] = [];
    const sendRun = () => {
      if (run.length > 0) bytes += this.#send(cursor, concatBytes(run));
      run = [];
    };
    envelope.eachFrame((i, frame) => {
      const offset = envelope.first + i;
      if (offset <= cursor.offset) return;
      if (feed.recent.replaced.has(envelope, i)) {
        sendRun();
        if (this.#replacedFrom === 0) this.#replacedFrom = offset;
        this.#replacedTo = offset;
        this.#parts.metrics.recovery.replaced++;
      } else {
        // Also where it is the connection's own, left out for another reason: nothing replaced it.
        this.#tellReplaced(cursor);
        if (!isOwn || envelope.excluded(i) !== connection.number) {
          this.#parts.metrics.recovery.recovered++;
          run.push(frame);
        }
      }
      cursor.offset = offset;
    });
    sendRun();
    return bytes;
  }

  #tellReplaced(cursor: Cursor): void {
    if (this.#replacedFrom === 0) return;
    this.#push(cursor, ['gap', cursor.feed.room.name, this.#replacedFrom, this.#replacedTo, 'replaced']);
    this.#replacedFrom = 0;
  }

  /** A publisher that asked for no echo of a message does not get it by catching up either. */
  #framesFor({ connection, offset }: Cursor, envelope: Envelope): Uint8Array {
    if (!envelope.hasExcludes || envelope.origin !== this.#parts.nodeId) return envelope.after(offset);
    const frames: Buffer[] = [];
    for (let i = 0; i < envelope.count; i++) {
      const isNew = envelope.first + i > offset;
      if (isNew && envelope.excluded(i) !== connection.number) frames.push(envelope.slice(i, i + 1));
    }
    return Buffer.concat(frames);
  }
}
