/**
 * The control row: bare uWebSockets.js, one `app.publish` from the message handler for each message, one
 * topic per room. No protocol but `[length of room][room][payload]`, nothing stored, nothing numbered. The
 * minimum cost of this stack.
 */
import { App } from 'uWebSockets.js';

interface Member {
  readonly room: string;
}

const port = Number(process.argv[2]);
const app = App();

app.ws<Member>('/*', {
  maxBackpressure: 1024 * 1024,
  idleTimeout: 0,
  upgrade: (res, req, context) => {
    const key = req.getHeader('sec-websocket-key');
    res.upgrade<Member>({ room: req.getQuery('room') ?? '' }, key, '', '', context);
  },
  open: (ws) => {
    const { room } = ws.getUserData();
    if (room !== '') ws.subscribe(room);
    ws.send('joined');
  },
  message: (_ws, message) => {
    const room = new Uint8Array(message, 1, new Uint8Array(message)[0]);
    app.publish(room as unknown as string, message, true);
  },
});

app.post('/publish', (res) => {
  res.onAborted(() => undefined);
  // A message is short enough to arrive in one chunk.
  res.onData((message) => {
    const room = new Uint8Array(message, 1, new Uint8Array(message)[0]);
    app.publish(room as unknown as string, message, true);
    res.end('{}');
  });
});

app.listen('127.0.0.1', port, (socket) => {
  if (!socket) throw new Error(`cannot listen on ${port}`);
});
process.on('SIGTERM', () => process.exit(0));
