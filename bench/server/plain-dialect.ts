import type { Dialect, DialectOptions, PublishTemplate } from '../../src/load/dialect.ts';
import { OPCODE } from '../../src/load/frames.ts';

const JOINED = 'joined';

/**
 * What the control servers speak, the least there is: a message is `[length of room][room][payload]` both ways, the room
 * to join is in the URL, and `joined` says that it is. Nothing is numbered, so each publisher's own counter is checked.
 */
export function createDialect({ payloadBytes }: DialectOptions): Dialect {
  return {
    upgrade: (room) => ({ path: room === null ? '/' : `/?room=${encodeURIComponent(room)}`, headers: {} }),
    opening: () => null,
    opened: (_connection, bytes, at, end) => Buffer.from(bytes.subarray(at, end)).toString() === JOINED,

    publish(room: string, payload: Uint8Array): PublishTemplate {
      const name = Buffer.from(room);
      const body = Buffer.concat([Buffer.of(name.length), name, payload]);
      return { opcode: OPCODE.binary, body, payloadAt: 1 + name.length };
    },

    receive(connection, bytes, _at, end, tally) {
      const payloadAt = end - payloadBytes;
      tally.checkCounter(connection, bytes, payloadAt);
      tally.deliver(connection, bytes, payloadAt);
    },
  };
}
