/** Settings under `limits`. */
import { z } from 'zod';
import { optionalWhole, whole, yesNo } from '../fields.ts';
import { MIB } from './shared.ts';

/** A rate, and what may come at once after a pause. */
const RATE = { min: 0, max: 10_000_000 };
const BURST = { min: 0, max: 100_000_000 };

export const limits = z.strictObject({
  // Beside its connections, an address may have half of the node's other sockets, so that one cannot hold all of them.
  socketsPerAddress: optionalWhole({
    min: 0,
    max: 10_000_000,
    defaultText: '`limits.connectionsPerAddress`, and half of what the node has for HTTP',
    meaning:
      'Sockets from one address to the node: WebSockets, HTTP requests, and those that wait for a request; IPv6 addresses count by /64. `0`: no limit',
  }),
  // A TLS handshake takes half a millisecond and more, whether or not a request follows it.
  addressSocketsPerSecond: whole({
    ...RATE,
    standard: 500,
    meaning:
      'New sockets a second that one address may sustain, those closed at once included: TLS handshakes, above all; `0`: no limit',
  }),
  addressSocketBurst: whole({
    ...BURST,
    standard: 5000,
    meaning: 'New sockets that one address may open at once after a pause',
  }),
  // A share, so that one address cannot fill a node of any size, and a campus behind one address still fits.
  connectionsPerAddress: optionalWhole({
    min: 0,
    max: 10_000_000,
    defaultText: 'half of what the node takes, at least 100',
    meaning:
      'Connections, event streams included, from one address to the node; IPv6 addresses count by /64. `0`: no limit',
  }),
  // Half as well: load tests and demos give everyone the same token.
  connectionsPerUser: optionalWhole({
    min: 0,
    max: 10_000_000,
    defaultText: 'half of what the node takes, at least 100',
    meaning: 'Connections, event streams included, of one user to the node; `0`: no limit',
  }),
  // An office whose link comes back gets in at once. A WebSocket costs a node a tenth of a millisecond, so this is
  // 2% of a core.
  addressUpgradesPerSecond: whole({
    ...RATE,
    standard: 200,
    meaning:
      'New WebSockets and event streams a second that one address may sustain, refused ones included; `0`: no limit',
  }),
  addressUpgradeBurst: whole({
    ...BURST,
    standard: 2000,
    meaning: 'New WebSockets and event streams that one address may ask for at once after a pause',
  }),
  // Requests of clients and wrong keys; a backend shows its key and has a limit of its own.
  addressRequestsPerSecond: whole({
    ...RATE,
    standard: 500,
    meaning:
      'HTTP requests a second without a valid API key that one address may sustain; health checks and `/metrics` do not count. `0`: no limit',
  }),
  addressRequestBurst: whole({
    ...BURST,
    standard: 2000,
    meaning: 'HTTP requests without a valid API key that one address may send at once after a pause',
  }),
  // A third of what a core can do: a backend in a loop leaves room for the others.
  apiKeyRequestsPerSecond: whole({
    ...RATE,
    standard: 5000,
    meaning:
      'HTTP requests a second with one API key that the node answers for long; a batch is one. `0`: no limit',
  }),
  apiKeyRequestBurst: whole({
    ...BURST,
    standard: 10_000,
    meaning: 'HTTP requests with one API key that the node answers at once after a pause',
  }),
  // Off: behind a balancer that `trustProxy` does not name, everyone has the same private address.
  limitPrivateAddresses: yesNo({
    standard: false,
    meaning:
      'Apply the limits of addresses to private ones (10.0.0.0/8, fc00::/7 and the like) and to this machine too. Off, they only apply to public ones',
  }),
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
    meaning: 'Commands that one connection may send at once after a pause',
  }),
  // Four connections at their full rate.
  userCommandsPerSecond: whole({
    ...RATE,
    standard: 4000,
    meaning: 'Commands a second that all connections of one user to a node may sustain; `0`: no limit',
  }),
  userCommandBurst: whole({
    ...BURST,
    standard: 20_000,
    meaning: 'Commands that all connections of one user to a node may send at once after a pause',
  }),
  // Each new connection has a burst of its own, so an address that reconnects is bounded by this alone. Hundreds of
  // people behind one address send a few commands a second each.
  addressCommandsPerSecond: whole({
    ...RATE,
    standard: 10_000,
    meaning:
      'Commands a second that all connections without a user of one address to a node may sustain; a join counts as five. `0`: no limit',
  }),
  // Four thousand joins: two hundred people whose link comes back, with twenty rooms each.
  addressCommandBurst: whole({
    ...BURST,
    standard: 20_000,
    meaning:
      'Commands that all connections without a user of one address may send at once after a pause; a join counts as five',
  }),
  // Each new room costs a subscription and a read of the store. People enter a few rooms a minute.
  joinsPerSecond: whole({
    ...RATE,
    standard: 100,
    meaning: 'Joins a second that one connection may sustain; `0`: no limit',
  }),
  // A client that comes back joins all of its rooms at once, and may do so again.
  joinBurst: whole({
    ...BURST,
    standard: 200,
    meaning: 'Joins that one connection may send at once after a pause, at least `limits.roomsPerConnection`',
  }),
  // Off: what a room can bear depends on its members, and a rule can set it for each kind of room.
  roomPublishesPerSecond: whole({
    ...RATE,
    standard: 0,
    meaning:
      'Publishes and signals of clients a second that a node takes for one room, twice as many at once after a pause; `publishesPerSecond` of a rule takes its place. `0`: no limit',
  }),
  // A burst of commands passes, even if Redis is slow to answer it.
  pendingRequests: whole({
    ...RATE,
    standard: 10_000,
    meaning: 'Commands of one connection that may wait for their reply; `0`: no limit',
  }),
  // A client that comes back asks for each of its rooms at once: 100 by default.
  waitingReads: whole({
    min: 1,
    max: 10_000,
    standard: 128,
    meaning: 'Reads (`history`, `members`) of one connection that may wait for their turn',
  }),
  // 50 MB of Redis. Within the window of 5 minutes that is half at once, and 333 publishes a second for long.
  keysPerUser: whole({
    min: 0,
    max: 100_000_000,
    standard: 200_000,
    meaning:
      'Idempotency keys of one user, or of one anonymous connection, that a node has remembered at a time (`dedupWindowMs`); half of them may come at once. `0`: no limit',
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
  // Sixty-four of the largest bodies at a time. A client that never sends the last byte would have the rest kept.
  unfinishedBodyBytes: whole({
    min: 0,
    max: 64 * 1024 * MIB,
    standard: 64 * MIB,
    meaning:
      'Bytes that a node keeps of the bodies of client requests that are still arriving or wait for their turn, all together; the first 16 KiB of each are not counted; `0`: no limit',
  }),
  // Half a thousand of connections that do not read at all. What the kernel holds for them comes on top.
  unreadBytes: whole({
    min: 0,
    max: 1024 * 1024 * MIB,
    standard: 512 * MIB,
    meaning:
      'Bytes that may wait in a node for clients that do not read, all connections together; beyond it the fullest are closed; `0`: no limit',
  }),
});
