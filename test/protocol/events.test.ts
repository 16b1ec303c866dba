import { describe, expect, it } from 'vitest';
import { msgpackCodec } from '../../src/protocol/codec.ts';
import { FrameError } from '../../src/protocol/frame-error.ts';
import type { MessageFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { encodeClose, encodeJoined, sseCodec } from '../../src/protocol/sse/codec.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { eventsOf } from '../support/events.ts';
import { events } from './vectors.ts';

const text = (bytes: Uint8Array | string) => Buffer.from(bytes as Uint8Array).toString();

function stored(...frames: MessageFrame[]): Uint8Array {
  return concatBytes(frames.map((frame) => msgpackCodec.encode(frame) as Uint8Array));
}

describe('frames as events', () => {
  it.each(events)('$name', ({ value, epoch, event }) => {
    expect(text(sseCodec.encode(value as ServerFrame, epoch))).toBe(event);
  });

  it.each(events)('$name: an event reader gets the frame back', ({ value, event }) => {
    const [read, ...more] = eventsOf(event);
    expect(more).toEqual([]);
    expect(JSON.parse(read!.data)).toEqual(value);
    expect(read!.event).toBe((value as ServerFrame)[0]);
  });

  it.each(events.filter(({ value }) => (value as ServerFrame)[0] === 'message'))(
    '$name: from the store it is the same event',
    ({ value, epoch, event }) => {
      expect(text(sseCodec.messages(stored(value as MessageFrame), epoch))).toBe(event);
    },
  );

  it('a run is one event for each message, with bytes as base64', () => {
    const run = stored(
      ['message', 'room', 1, 1, 'ann', Buffer.from('bytes')],
      ['message', 'room', 2, 2, null, '\u2028 ü'],
    );
    const read = eventsOf(text(sseCodec.messages(run, 'epoch001')));
    expect(read.map(({ id, data }) => [id, JSON.parse(data)[5]])).toEqual([
      ['epoch001,1', 'Ynl0ZXM='],
      ['epoch001,2', '\u2028 ü'],
    ]);
  });

  it('anything else in the store is refused', () => {
    expect(() => sseCodec.messages(Uint8Array.of(0xc1), 'epoch001')).toThrow(FrameError);
    const other = msgpackCodec.encode(['removed', 'room', 'reason']) as Uint8Array;
    expect(() => sseCodec.messages(other, 'epoch001')).toThrow(FrameError);
  });

  it('what a stream begins with says where the reader stands, and how long to wait after a cut', () => {
    const result = { epoch: 'epoch001', offset: 9, recovered: false, from: 4 };
    expect(eventsOf(text(encodeJoined('room', result, ['epoch001', 4], 1234)))).toEqual([
      { event: 'joined', id: 'epoch001,4', retry: 1234, data: JSON.stringify(['joined', 'room', result]) },
    ]);
    expect(eventsOf(text(encodeJoined('room', result, null, 1)))[0]!.id).toBeUndefined();
    // A room without history has no position.
    expect(eventsOf(text(encodeJoined('room', result, ['', 0], 1)))[0]!.id).toBeUndefined();
  });

  it('what it ends with has the close code', () => {
    expect(text(encodeClose({ code: 4503, reason: 'disconnected by the server' }))).toBe(
      'event: close\ndata: ["close",4503,"disconnected by the server"]\n\n',
    );
  });

  it('takes no commands', () => {
    const command = Buffer.from('["ping",1]');
    expect(sseCodec.decodeCommands(command)).toEqual([]);
    expect(sseCodec.readCommands(command).next()).toBeNull();
  });
});
