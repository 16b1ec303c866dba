/** What doctor finds out about a WebSocket endpoint, from servers that behave in each of the ways there are. */
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { probeSocket } from '../../src/cli/doctor/probe-socket.ts';
import { freePort } from '../support/ports.ts';

const HELLO = JSON.stringify(['hello', { node: 'abcdefgh' }]);
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server that does this with each WebSocket, and the URL to probe it by. */
async function serve(behave: (socket: WebSocket) => void): Promise<URL> {
  const port = await freePort();
  const server = new WebSocketServer({ host: '127.0.0.1', port });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', behave);
  closers.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return new URL(`http://127.0.0.1:${port}/ws`);
}

const probe = (url: URL, timeoutMs = 5_000, token: string | null = null) =>
  probeSocket({ url, token, timeoutMs });

describe('probing a WebSocket', () => {
  it('is answered by hello and a reply to ping, in messages of any size', async () => {
    const unknown = JSON.stringify(['news', 'x'.repeat(70_000)]);
    const url = await serve((socket) => {
      socket.send(`${unknown}\n${HELLO}`);
      socket.on('message', (text) => {
        expect(String(text)).toBe('["ping",1]');
        socket.send('["ok",1,{}]');
      });
    });
    expect(await probe(url)).toMatchObject({ outcome: 'answered', node: 'abcdefgh' });
  });

  it('presents the token and asks for JSON', async () => {
    const seen: unknown[] = [];
    const port = await freePort();
    const server = new WebSocketServer({ host: '127.0.0.1', port });
    closers.push(() => server.close());
    server.on('connection', (socket, { headers }) => {
      seen.push(headers.authorization, socket.protocol);
      socket.close(4501, 'unauthorized');
    });
    await probe(new URL(`http://127.0.0.1:${port}`), 5_000, 'a.b.c');
    expect(seen).toEqual(['Bearer a.b.c', 'roomcast.v1.json']);
  });

  it('tells the code and the reason of a close', async () => {
    const url = await serve((socket) => socket.close(4501, 'unauthorized'));
    expect(await probe(url)).toEqual({ outcome: 'closed', code: 4501, reason: 'unauthorized' });
  });

  it('tells a connection that was lost', async () => {
    const url = await serve((socket) => socket.terminate());
    expect(await probe(url)).toEqual({ outcome: 'failed', reason: 'the connection was lost' });
  });

  it('is silent where no hello arrives', async () => {
    const url = await serve(() => undefined);
    expect(await probe(url, 100)).toEqual({ outcome: 'silent' });
  });

  it('fails where hello arrives and the ping is not answered', async () => {
    const url = await serve((socket) => socket.send(HELLO));
    expect(await probe(url, 100)).toEqual({ outcome: 'failed', reason: 'no answer to a ping' });
  });

  it('fails where what arrives is not the protocol', async () => {
    const url = await serve((socket) => socket.send('good morning'));
    expect(await probe(url)).toEqual({ outcome: 'failed', reason: 'a line is not JSON' });
  });

  it('fails where the upgrade is never answered', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket));
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    closers.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const facts = await probe(new URL(`http://127.0.0.1:${port}/ws`), 100);
    expect(facts).toEqual({ outcome: 'failed', reason: 'no answer within 100 ms' });
  });
});
