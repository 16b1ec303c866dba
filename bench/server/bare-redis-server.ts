/**
 * The control row with Redis in the path: uWebSockets.js and ioredis in fifty lines, as many projects start.
 * Every message is a PUBLISH, every room a channel; nothing is stored, numbered or acknowledged, and messages
 * during a lost link are gone.
 */

import { App } from 'uWebSockets.js';
import { Redis } from 'ioredis';

interface Member {
  readonly room: string;
}

const port = Number(process.argv[2]);
const url = process.argv[3] ?? '';
const publisher = new Redis(url, { enableAutoPipelining: true });
const subscriber = new Redis(url, { replyMapping: 'legacy', protocol: 2 });
const subscribed = new Map<string, Promise<unknown>>();
const app = App();

subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
  app.publish(channel as unknown as string, message, true);
});

app.ws<Member>('/*', {
  maxBackpressure: 1024 * 1024,
  idleTimeout: 0,
  upgrade: (res, req, context) => {
    const key = req.getHeader('sec-websocket-key');
    res.upgrade<Member>({ room: req.getQuery('room') ?? '' }, key, '', '', context);
  },
  open: (ws) => {
    const { room } = ws.getUserData();
    ws.subscribe(room);
    const subscribing = subscribed.get(room) ?? subscriber.subscribe(room);
    subscribed.set(room, subscribing);
    void subscribing.then(() => ws.send('joined'));
  },
  message: (_ws, message) => {
    void publish(message);
  },
});

app.post('/publish', (res) => {
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
  });
  // A message is short enough to arrive in one chunk.
  res.onData((message) => {
    void publish(message).then(() => {
      if (!isAborted) res.cork(() => res.end('{}'));
    });
  });
});

function publish(message: ArrayBuffer): Promise<number> {
  const bytes = Buffer.from(message.slice(0));
  return publisher.publish(bytes.subarray(1, 1 + bytes[0]!), bytes);
}

app.listen('127.0.0.1', port, (socket) => {
  if (!socket) throw new Error(`cannot listen on ${port}`);
});
process.on('SIGTERM', () => process.exit(0));
