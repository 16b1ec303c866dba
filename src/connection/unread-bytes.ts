import { CLOSE, type CloseReason } from '../protocol/codes.ts';

/** What this needs from a connection. */
export interface Reader {
  readonly isOpen: boolean;
  readonly socket: { bufferedBytes(): number; destroy(): void };
  close(reason: CloseReason): void;
}

export interface UnreadBytesParts<C extends Reader> {
  /** Bytes that may wait for all connections together; 0: no limit. */
  readonly limit: number;
  /** All connections, also those that open or close while they are walked over. */
  readonly connections: () => Iterator<C>;
  /** The connections with the most unread bytes were closed. */
  readonly closed: (connections: number, bytes: number) => void;
}

/** Looked at in one call: asking a socket takes about 0.1 us, so a call takes a few milliseconds at most. */
const LOOKED_AT_ONCE = 16_384;
/** With less, a connection is not worth closing: an honest client may have as much on its way. */
const SMALLEST = 64 * 1024;

/**
 * Bounds what waits in this process for clients that read slowly or not at all, over all connections: each has its own
 * limit, and thousands of them at theirs would still fill the memory. The fullest are closed until the rest is within the
 * limit. They do not read a close frame either, so their sockets are dropped at once; they come back, and get what they
 * missed from history.
 */
export class UnreadBytes<C extends Reader> {
  readonly #parts: UnreadBytesParts<C>;
  #round: Iterator<C> | null = null;
  #bytes = 0;
  #full: { readonly connection: C; readonly bytes: number }[] = [];
  #total = 0;

  constructor(parts: UnreadBytesParts<C>) {
    this.#parts = parts;
  }

  /** Bytes that wait for all connections together, as of the last round over them. */
  get total(): number {
    return this.#total;
  }

  /** Called each second: looks at some of the connections, and once it has seen all of them closes what is too much. */
  look(): void {
    this.#round ??= this.#parts.connections();
    for (let n = 0; n < LOOKED_AT_ONCE; n++) {
      const { value, done } = this.#round.next();
      if (done === true) return this.#end();
      const bytes = value.socket.bufferedBytes();
      this.#bytes += bytes;
      if (bytes > SMALLEST) this.#full.push({ connection: value, bytes });
    }
  }

  #end(): void {
    const full = this.#full;
    this.#total = this.#bytes;
    this.#round = null;
    this.#bytes = 0;
    this.#full = [];
    const { limit } = this.#parts;
    if (limit > 0 && this.#total > limit) this.#close(full, this.#total - limit);
  }

  #close(full: { readonly connection: C; readonly bytes: number }[], tooMany: number): void {
    full.sort((a, b) => b.bytes - a.bytes);
    let [connections, closedBytes] = [0, 0];
    for (const { connection, bytes } of full) {
      if (closedBytes >= tooMany) break;
      if (!connection.isOpen) continue;
      connections++;
      closedBytes += bytes;
      connection.close(CLOSE.tooSlow);
      connection.socket.destroy();
    }
    if (connections > 0) this.#parts.closed(connections, closedBytes);
  }
}
