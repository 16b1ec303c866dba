/** What the Socket.IO rows have in common: rooms by `join`, a client's `publish` goes to its room as `m`. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { Server, type ServerOptions } from 'socket.io';

/** Resolves when it listens. WebSocket only, as the driver speaks it; compression is off, as it is by default. */
export async function serveRooms(port: number, options: Partial<ServerOptions>): Promise<void> {
  const http = createServer();
  const io = new Server(http, { transports: ['websocket'], serveClient: false, ...options });
  // The documentation's advice on memory: nobody needs the upgrade request again.
  io.engine.on('connection', (socket: { request: unknown }) => {
    socket.request = null;
  });
  io.on('connection', (socket) => {
    socket.on('join', async (room: string) => {
      await socket.join(room);
      socket.emit('joined');
    });
    socket.on('publish', (room: string, payload: string) => io.to(room).emit('m', payload));
  });
  http.listen(port, '127.0.0.1');
  await once(http, 'listening');
  process.on('SIGTERM', () => process.exit(0));
}

/**
 * A client that is connected. The adapters read replies in the old protocol's form; commands of one tick go out in one
 * write, which is the client's own advice for many small commands.
 */
export async function connectRedis(url: string): Promise<Redis> {
  const redis = new Redis(url, { protocol: 2, enableAutoPipelining: true });
  redis.on('error', (error) => process.stderr.write(`${error.message}\n`));
  await once(redis, 'ready');
  return redis;
}
