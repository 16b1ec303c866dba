/** What the sockets of browsers and of Node tell of a connection that never opened. */
import { describe, expect, it } from 'vitest';
import type { WebSocketLike } from '../../src/client/environment.ts';
import type { Link } from '../../src/client/transport.ts';
import { webSocketTransport } from '../../src/client/websocket-transport.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';

class Socket implements WebSocketLike {
  binaryType = '';
  bufferedAmount = 0;
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onerror: WebSocketLike['onerror'] = null;
  onclose: WebSocketLike['onclose'] = null;
  send = () => undefined;
  close = () => undefined;
}

async function opened() {
  const socket = new Socket();
  const scheduler = new FakeScheduler();
  const closed: unknown[] = [];
  const transport = webSocketTransport({ scheduler, openSocket: () => socket, page: null });
  const link: Link = transport.open('ws://node', 'roomcast', null, {
    opened: () => undefined,
    message: () => undefined,
    closed: (code, reason) => closed.push([code, reason]),
  });
  // The socket may come later: from a module that is loaded.
  await Promise.resolve();
  return { socket, closed, link, turn: () => scheduler.endTurn() };
}

describe('a WebSocket', () => {
  it('is over once after an error before it opened, though no close follows, as in Node 22', async () => {
    const { socket, closed, turn } = await opened();
    socket.onerror?.({ message: 'non-101 status code' });
    expect(closed).toEqual([]);
    turn();
    expect(closed).toEqual([[1006, 'non-101 status code']]);
    socket.onclose?.({ code: 1006, reason: '' });
    expect(closed).toHaveLength(1);
  });

  it('is over once where a close follows the error', async () => {
    const { socket, closed, turn } = await opened();
    socket.onerror?.({ message: 'connect ECONNREFUSED' });
    socket.onclose?.({ code: 1006, reason: '' });
    turn();
    expect(closed).toEqual([[1006, 'connect ECONNREFUSED']]);
  });

  it('that was open is over once too, with the reason of its close if that comes first', async () => {
    const { socket, closed, turn } = await opened();
    socket.onopen?.();
    socket.onerror?.({});
    socket.onclose?.({ code: 4502, reason: 'drain' });
    turn();
    expect(closed).toEqual([[4502, 'drain']]);
  });

  it('that was abandoned says nothing', async () => {
    const { socket, closed, link, turn } = await opened();
    link.abandon();
    socket.onerror?.({ message: 'late' });
    turn();
    expect(closed).toEqual([]);
  });
});
