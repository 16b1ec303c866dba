import { describe, expect, it } from 'vitest';
import { TopicList } from '../../src/connection/topic-list.ts';
import { EventSocket, type EventSocketOwner } from '../../src/transport/events/event-socket.ts';
import { EventWriter } from '../../src/transport/events/event-writer.ts';
import type { HttpResponse } from '../../src/transport/uws.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';

/** A response as uWebSockets.js was seen to behave: false says that what was given is queued. */
class Response {
  readonly written: string[] = [];
  corks = 0;
  isFull = false;
  isEnded = false;
  isClosed = false;
  writable: () => boolean = () => true;
  #isCorked = false;

  cork(work: () => void): void {
    this.corks++;
    this.#isCorked = true;
    work();
    this.#isCorked = false;
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#isCorked) throw new Error('written outside of cork');
    this.written.push(Buffer.from(chunk).toString());
    return !this.isFull;
  }

  onWritable(handler: () => boolean): void {
    this.writable = handler;
  }

  end(): void {
    this.isEnded = true;
  }

  close(): void {
    this.isClosed = true;
  }
}

class Owner implements EventSocketOwner {
  readonly calls: unknown[] = [];
  writeHead = (): void => void this.calls.push('head');
  notBegun = ({ code }: { code: number }): void => void this.calls.push(['not begun', code]);
  drained = (): void => void this.calls.push('drained');
  missed = (): void => void this.calls.push('missed');
  alive = (): void => void this.calls.push('alive');
  gone = (code: number): void => void this.calls.push(['gone', code]);
}

function open(backpressureBytes = 10) {
  const response = new Response();
  const owner = new Owner();
  const topics = new TopicList<EventSocket>();
  const scheduler = new FakeScheduler();
  let left = (): void => undefined;
  const exchange = {
    clientAddress: '203.0.113.7',
    takeOver: (whenLeft: () => void) => {
      left = whenLeft;
      return response as unknown as HttpResponse;
    },
    ended: () => undefined,
  };
  const parts = { topics, writer: new EventWriter(scheduler), backpressureBytes };
  const socket = new EventSocket(exchange, parts, owner);
  const endTurn = () => scheduler.endTurn(() => undefined);
  return { socket, response, owner, topics, endTurn, leave: () => left() };
}

const bytes = (text: string) => Buffer.from(text);

describe('an event socket', () => {
  it('writes what a turn brought in one cork, behind the head', () => {
    const { socket, response, owner, endTurn } = open();
    socket.send(bytes('early'));
    endTurn();
    expect(response.written).toEqual([]);
    socket.begin();
    socket.send(bytes('a'));
    socket.send(bytes('b'));
    endTurn();
    expect([response.written, response.corks, owner.calls]).toEqual([['early', 'a', 'b'], 1, ['head']]);
    socket.send(bytes('c'));
    endTurn();
    expect([response.written.length, response.corks, owner.calls]).toEqual([4, 2, ['head']]);
  });

  it('gives nothing to a response that is blocked, keeps up to its limit, and says what it could not keep', () => {
    const { socket, response, owner, topics, endTurn } = open(10);
    socket.begin();
    socket.subscribe('room');
    response.isFull = true;
    topics.publish('room', bytes('taken'));
    endTurn();
    for (const text of ['12345', '67890', '+']) topics.publish('room', bytes(text));
    expect(socket.bufferedBytes()).toBe(16);
    expect(owner.calls).toEqual(['head']);
    topics.publish('room', bytes('too much'));
    expect(owner.calls).toEqual(['head', 'missed']);
    expect(socket.send(bytes('a reply'))).toBe('dropped');
    endTurn();
    expect(response.written).toEqual(['taken']);
    response.isFull = false;
    expect(response.writable()).toBe(true);
    expect(response.written).toEqual(['taken', '12345', '67890', '+']);
    expect(owner.calls).toEqual(['head', 'missed', 'drained']);
    expect(socket.bufferedBytes()).toBe(0);
  });

  it('stays blocked as long as the response is', () => {
    const { socket, response, owner, endTurn } = open(100);
    socket.begin();
    response.isFull = true;
    socket.send(bytes('a'));
    endTurn();
    socket.send(bytes('b'));
    socket.send(bytes('c'));
    expect(response.writable()).toBe(false);
    expect([response.written, owner.calls]).toEqual([['a', 'b'], ['head']]);
    response.isFull = false;
    response.writable();
    expect([response.written, owner.calls]).toEqual([
      ['a', 'b', 'c'],
      ['head', 'drained'],
    ]);
  });

  it('makes a response send what it has queued, with a comment where there is nothing else', () => {
    const { socket, response, endTurn } = open();
    socket.begin();
    response.isFull = true;
    socket.send(bytes('a'));
    endTurn();
    response.isFull = false;
    response.writable();
    expect(response.written).toEqual(['a', ':\n\n']);
  });

  it('does not wait for the end of the turn with much', () => {
    const { socket, response } = open(1_000_000);
    socket.begin();
    socket.send(Buffer.alloc(64 * 1024, 'x'));
    expect(response.written).toHaveLength(1);
  });

  it('loses nothing, and is not behind, as long as its reader takes what a turn brings', () => {
    const { socket, response, owner, topics, endTurn } = open(10);
    socket.begin();
    socket.subscribe('room');
    for (const text of ['12345678', '90abcdef', 'ghijklmn', 'opq']) topics.publish('room', bytes(text));
    expect(socket.bufferedBytes()).toBe(0);
    endTurn();
    expect([response.written.join(''), owner.calls]).toEqual(['1234567890abcdefghijklmnopq', ['head']]);
  });

  it('has heartbeats while its reader reads', () => {
    const { socket, response, owner, endTurn } = open();
    socket.ping();
    socket.begin();
    socket.ping();
    endTurn();
    expect(response.written).toEqual([':\n\n']);
    response.isFull = true;
    socket.send(bytes('a'));
    endTurn();
    socket.ping();
    expect(owner.calls.filter((call) => call === 'alive')).toHaveLength(2);
  });

  it('ends with the close code, once', () => {
    const { socket, response, owner, leave } = open();
    socket.begin();
    socket.send(bytes('last'));
    socket.end({ code: 4503, reason: 'over' });
    socket.end({ code: 1012, reason: 'again' });
    leave();
    expect(response.written).toEqual(['last', 'event: close\ndata: ["close",4503,"over"]\n\n']);
    expect([response.isEnded, response.isClosed, owner.calls]).toEqual([
      true,
      false,
      ['head', ['gone', 4503]],
    ]);
    expect(socket.send(bytes('late'))).toBe('dropped');
    expect(socket.remoteAddress).toBe('');
  });

  it('cuts off a reader that does not read', () => {
    const { socket, response, owner, endTurn } = open();
    socket.begin();
    response.isFull = true;
    socket.send(bytes('a'));
    endTurn();
    socket.end({ code: 4008, reason: 'too slow' });
    expect([response.isEnded, response.isClosed, owner.calls.at(-1)]).toEqual([false, true, ['gone', 4008]]);
  });

  it('that has not begun leaves the answer to its owner', () => {
    const { socket, response, owner } = open();
    socket.send(bytes('bye'));
    socket.end({ code: 1012, reason: 'node restarting' });
    expect([response.written, owner.calls]).toEqual([
      [],
      [
        ['gone', 1012],
        ['not begun', 1012],
      ],
    ]);
  });

  it('whose reader left is on no topic, and counts as closed without a code', () => {
    const { socket, response, owner, topics, endTurn, leave } = open();
    socket.begin();
    socket.subscribe('room');
    leave();
    topics.publish('room', bytes('a'));
    endTurn();
    expect([response.written, owner.calls]).toEqual([[], [['gone', 1005]]]);
  });
});
