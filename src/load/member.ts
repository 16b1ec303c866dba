/** What counting and the wire protocols need to know about a connection. */

/** What a tally reads and stores for one member. */
export interface Member {
  readonly room: number;
  /** Index of a publisher within the room whose messages it watches for, or a value of `WATCH`. */
  readonly watches: number;
  /** Last number seen: of the room if it numbers messages, else by publisher. */
  lastOffset: number;
  readonly lastOf: number[];
  /** Skipped numbers; made when needed. */
  missing: Set<number> | null;
}

/** What a dialect reads, stores and sends in addition. */
export interface DialectMember extends Member {
  /** Its one room, or null for a connection that only publishes. */
  readonly roomName: string | null;
  /** What the dialect needs to resume: an epoch, a private id. '' before the connection was first ready. */
  session: string;
  /** The same for the last message, if ids are not numbers. */
  lastId: string;
  send(message: WireMessage): void;
  /** Writes complete WebSocket frames. The caller must not change the bytes. */
  write(bytes: Uint8Array): void;
}

export interface WireMessage {
  /** RFC 6455: 1 text, 2 binary. */
  readonly opcode: number;
  readonly body: Uint8Array;
}
