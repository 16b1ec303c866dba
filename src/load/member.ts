/** What counting and the wire protocols need to know of a connection. */

/** What a tally reads and keeps of one member. */
export interface Member {
  readonly room: number;
  /** Index of a publisher within the room whose messages it watches for, or of `WATCH`. */
  readonly watches: number;
  /** Last number seen: of the room where it numbers messages, else by publisher. */
  lastOffset: number;
  readonly lastOf: number[];
  /** Numbers that were passed over; made when needed. */
  missing: Set<number> | null;
}

/** What a dialect reads, keeps and sends besides. */
export interface DialectMember extends Member {
  /** Its one room, or null for a connection that only publishes. */
  readonly roomName: string | null;
  /** What the dialect keeps to resume with: an epoch, a private id. '' before the first time it was ready. */
  session: string;
  /** The same, of the last message, where ids are no numbers. */
  lastId: string;
  send(message: WireMessage): void;
  /** Writes WebSocket frames that are complete. The bytes must stay as they are. */
  write(bytes: Uint8Array): void;
}

export interface WireMessage {
  /** Of RFC 6455: 1 text, 2 binary. */
  readonly opcode: number;
  readonly body: Uint8Array;
}
