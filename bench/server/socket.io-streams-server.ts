/**
 * Socket.IO with its Redis Streams adapter and connection state recovery, its answer to links that break: each message is
 * added to one stream for all rooms, and who comes back within two minutes gets what was missed, if the server had
 * noticed that the link was dead. Until then the session is not stored, and cannot be recovered: with the default pings
 * that takes up to 45 seconds. A third argument sets both the interval and the timeout of the pings, in ms.
 */
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { connectRedis, serveRooms } from './socket.io-rooms.ts';

const pingMs = Number(process.argv[4] ?? Number.NaN);
const redis = await connectRedis(process.argv[3] ?? '');
await serveRooms(Number(process.argv[2]), {
  // All that is sent is text, which the adapter would otherwise look through for binary parts.
  adapter: createAdapter(redis, { onlyPlaintext: true }),
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
  ...(Number.isNaN(pingMs) ? {} : { pingInterval: pingMs, pingTimeout: pingMs }),
});
