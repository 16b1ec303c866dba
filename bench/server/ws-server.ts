/**
 * The `ws` package as its documentation shows a broadcast: a set of sockets for each room, and the received Buffer sent to
 * each of them. One process, nothing stored or numbered; the protocol of the control row.
 */
import { type WebSocket, WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const rooms = new Map<string, Set<WebSocket>>();
const server = new WebSocketServer({ host: '127.0.0.1', port });

server.on('connection', (socket, request) => {
  const room = new URL(request.url ?? '/', 'ws://bench').searchParams.get('room');
  if (room !== null) join(socket, room);
  socket.on('message', (message: Buffer) => {
    const members = rooms.get(message.toString('utf8', 1, 1 + message[0]!)) ?? [];
    for (const member of members) if (member.readyState === member.OPEN) member.send(message);
  });
  socket.send('joined');
});

function join(socket: WebSocket, room: string): void {
  const members = rooms.get(room) ?? new Set();
  rooms.set(room, members.add(socket));
  socket.on('close', () => {
    members.delete(socket);
    if (members.size === 0) rooms.delete(room);
  });
}

process.on('SIGTERM', () => process.exit(0));
