/** Socket.IO with its Redis adapter: each message is a PUBLISH, and goes to the members of its own node without waiting for it. */
import { createAdapter } from '@socket.io/redis-adapter';
import { connectRedis, serveRooms } from './socket.io-rooms.ts';

const url = process.argv[3] ?? '';
const [publisher, subscriber] = await Promise.all([connectRedis(url), connectRedis(url)]);
await serveRooms(Number(process.argv[2]), { adapter: createAdapter(publisher, subscriber) });
