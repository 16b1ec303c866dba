import { COLUMNS, loadShape } from './load-shape.ts';
import type { Column, Scenario } from './scenario.ts';

const ROWS = ['bare', 'bare-redis', 'roomcast', 'roomcast-redis', 'socket.io-redis'];
const PER_PUBLISH: Column = { head: 'us/publish', figure: 'serverUsPerPublish', digits: 1 };
const { redis, publishes, acknowledged, perServerSecond, server, driver, p50, p99 } = COLUMNS;
const SHARED = {
  rows: ROWS,
  control: 'bare',
  headline: PER_PUBLISH,
  columns: [redis, acknowledged, perServerSecond, publishes, server, driver, p50, p99],
  goals: [
    { row: 'roomcast-redis', figure: perServerSecond.figure, atLeast: 40_000 },
    { row: 'roomcast-redis', figure: redis.figure, atMost: 8 },
  ],
} as const;

/**
 * Publishers are no members, and each room has but one, which watches: what is paid is the way in, with one delivery a message.
 * The bare servers and Socket.IO acknowledge nothing here, which spares them a send for each publish; the column says so.
 */
export const INGEST: Scenario = {
  name: 'ingest',
  question: 'What does it cost to take a publish in, store it and acknowledge it?',
  shapes: [
    loadShape({
      name: 'one-room',
      what: '1 room with 1 member, 64 publishers outside it, 256 in flight',
      audience: { rooms: 1, membersPerRoom: 1, publishersPerRoom: 64, publishersJoin: false },
      load: { kind: 'closed', inFlight: 256 },
      ...SHARED,
    }),
    loadShape({
      name: 'rooms-500',
      what: '500 rooms with 1 member each, 64 publishers outside that publish to all of them, 1,024 in flight',
      audience: {
        ...{ rooms: 500, membersPerRoom: 1, publishersPerRoom: 1, publishersJoin: false },
        outsideConnections: 64,
      },
      load: { kind: 'closed', inFlight: 1024 },
      ...SHARED,
    }),
    loadShape({
      name: 'rooms-500-alone',
      what: '500 rooms with 1 member each, a publisher outside each, 512 in flight: a read and two sends a publish',
      audience: { rooms: 500, membersPerRoom: 1, publishersPerRoom: 1, publishersJoin: false },
      load: { kind: 'closed', inFlight: 512 },
      ...SHARED,
    }),
  ],
};
