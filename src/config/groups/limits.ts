/** Settings under `limits`. */
import { z } from 'zod';
import { whole } from '../fields.ts';
import { MIB } from './shared.ts';

export const limits = z.strictObject({
  roomsPerConnection: whole({
    min: 1,
    max: 100_000,
    standard: 100,
    meaning: 'Maximum rooms that one connection may be in',
  }),
  // Far more than a person sends, and well below what one connection needs to starve the others.
  commandsPerSecond: whole({
    min: 0,
    max: 10_000_000,
    standard: 1000,
    meaning: 'Commands a second that one connection may sustain; `0`: no limit',
  }),
  // A client that reconnects joins many rooms at once.
  commandBurst: whole({
    min: 0,
    max: 100_000_000,
    standard: 5000,
    meaning:
      'Commands that one connection may send at once after a pause; one turn of the event loop accepts this many or 10,000, whichever is more',
  }),
  // A thousand commands a second of 2 KiB each. What one turn may bring in stays below 100 ms of work.
  bytesPerSecond: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 2 * MIB,
    meaning: 'Bytes a second that one connection may sustain; `0`: no limit',
  }),
  byteBurst: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 2 * MIB,
    meaning:
      'Bytes that one connection may send at once after a pause, at least `websocket.maxPayloadBytes`; in one turn of the event loop it may send this many or 4 MiB, whichever is more',
  }),
  userBytesPerSecond: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 4 * MIB,
    meaning: 'Bytes a second that all connections of one user to a node may sustain; `0`: no limit',
  }),
  userByteBurst: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 8 * MIB,
    meaning:
      'Bytes that all connections of one user to a node may send at once after a pause, at least `websocket.maxPayloadBytes`',
  }),
  // A page is held in memory as a whole and sent as one frame.
  historyPage: whole({
    min: 1,
    max: 100_000,
    standard: 1000,
    meaning: 'Messages in one answer to `history`, and at most the `last` of a `join`',
  }),
  membersPage: whole({
    min: 1,
    max: 100_000,
    standard: 1000,
    meaning: 'Maximum members in one reply to `members`; a longer list is cut and marked `truncated`',
  }),
  // A status, a name, a cursor and a selection. A room of 200 members holds 200 KiB of it at most.
  presenceBytes: whole({
    min: 1,
    max: 65_536,
    standard: 1024,
    meaning: "Maximum bytes of a member's presence data, measured as MessagePack",
  }),
  // A command of 30 bytes reads up to 1 MiB. A user who scrolls back needs a few pages, and gets two seconds'
  // worth at once.
  readBytesPerSecond: whole({
    min: 0,
    max: 1024 * MIB,
    standard: 4 * MIB,
    meaning:
      'Bytes of answers to `history` and `members` that one connection may have a second for long, and eight times as many all together; four times as many for one that catches up (`join` with `since`); `0`: no limit',
  }),
  bodyBytes: whole({
    min: 1024,
    max: 64 * MIB,
    standard: MIB,
    meaning: 'Maximum bytes in the body of one HTTP request',
  }),
});
