import { describe, expect, it } from 'vitest';
import { HttpMessages } from '../../bench/server/http-messages.ts';
import { payloadCounter, payloadPublisher, payloadRoom } from '../../src/load/payload.ts';

const PLAN = { rooms: 3, payloadBytes: 24, batch: null };

function read(payload: Uint8Array): number[] {
  return [payloadRoom(payload, 0), payloadPublisher(payload, 0), payloadCounter(payload, 0)];
}

describe('the bodies of publishes over HTTP', () => {
  it('take the rooms in turn, and count in each of them', () => {
    const messages = new HttpMessages(7, { ...PLAN, body: 'json' });
    const bodies = Array.from({ length: 4 }, () => JSON.parse(messages.next().toString()));
    expect(bodies.map(({ room }) => room)).toEqual(['bench:0', 'bench:1', 'bench:2', 'bench:0']);
    expect(bodies.map(({ data }) => read(Buffer.from(data)))).toEqual([
      [0, 7, 1],
      [1, 7, 1],
      [2, 7, 1],
      [0, 7, 2],
    ]);
  });

  it('hold several messages of a room in the order of their counters', () => {
    const messages = new HttpMessages(0, { ...PLAN, body: 'json', batch: 4 });
    messages.next();
    const body = JSON.parse(messages.next().toString());
    expect(body.messages.map(({ data }: { data: string }) => read(Buffer.from(data)))).toEqual([
      [0, 0, 3],
      [1, 0, 2],
      [2, 0, 2],
      [0, 0, 4],
    ]);
  });

  it('are a room and a payload without a word more for the control rows', () => {
    const body = new HttpMessages(1, { ...PLAN, body: 'plain' }).next();
    expect(body.toString('latin1', 0, 8)).toBe('\x07bench:0');
    expect(read(body.subarray(8))).toEqual([0, 1, 1]);
    expect(body).toHaveLength(8 + PLAN.payloadBytes);
  });
});
