import { describe, expect, it } from 'vitest';
import { packWho, parsePresenceEvent, unpackWho } from '../../src/backplane/presence-event.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';

/** An event as `presence.lua` makes it. */
function event(
  ...changes: [joined: boolean | null, connection: string, who: Uint8Array, count: number][]
): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(2)];
  for (const [joined, connection, who, count] of changes) {
    parts.push(packValue(joined), packValue(connection), who, packValue(count));
  }
  return Buffer.concat(parts);
}

const ANN = { connection: 'n-1', user: 'ann', info: { name: 'Ann' } };
const NOBODY = { connection: 'n-2', user: null };

describe('who is present', () => {
  it('comes out of MessagePack as it went in', () => {
    for (const entry of [ANN, NOBODY, { connection: 'n-3', user: 'bob', info: null }]) {
      expect(unpackWho(entry.connection, packWho(entry))).toEqual(entry);
    }
  });

  it('carries data as the bytes that came, with info and without', () => {
    // A spelling of 1 that the packer does not write.
    const data = Uint8Array.of(0xcd, 0, 1);
    for (const entry of [ANN, NOBODY, { connection: 'n-3', user: 'bob', info: null }]) {
      const bytes = packWho({ ...entry, data });
      expect(Buffer.from(bytes).includes(Buffer.from(data))).toBe(true);
      expect(unpackWho(entry.connection, bytes)).toEqual({ ...entry, data: 1 });
    }
  });

  it('loses info that MessagePack cannot carry, and nothing else', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    const packed = packWho({ connection: 'n-1', user: 'ann', info: circle });
    expect(unpackWho('n-1', packed)).toEqual({ connection: 'n-1', user: 'ann' });
  });
});

describe('a presence event', () => {
  it('holds changes in their order', () => {
    const bytes = event([true, 'n-1', packWho(ANN), 1], [false, 'n-2', packWho(NOBODY), 0]);
    expect(parsePresenceEvent(bytes)).toEqual([
      { change: 'joined', who: ANN, count: 1 },
      { change: 'left', who: NOBODY, count: 0 },
    ]);
  });

  it('says with nil that somebody is another now', () => {
    const bytes = event([null, 'n-1', packWho({ ...ANN, data: packValue('away') }), 7]);
    expect(parsePresenceEvent(bytes)).toEqual([
      { change: 'changed', who: { ...ANN, data: 'away' }, count: 7 },
    ]);
  });

  it('is none when any of its bytes is missing, at whatever place', () => {
    const bytes = event([true, 'n-1', packWho(ANN), 1], [false, 'n-2', packWho(NOBODY), 300]);
    const whole = event([true, 'n-1', packWho(ANN), 1]).length;
    for (let length = 0; length < bytes.length; length++) {
      const changes = parsePresenceEvent(bytes.subarray(0, length));
      if (length === whole) expect(changes).toHaveLength(1);
      else expect(changes).toBeNull();
    }
  });

  it('is none when a value has another type', () => {
    const wrong = [
      [1, 'n-1', ['ann'], 1],
      [true, 1, ['ann'], 1],
      [true, 'n-1', 'ann', 1],
      [true, 'n-1', [], 1],
      [true, 'n-1', [7], 1],
      [true, 'n-1', ['ann'], '1'],
      ['joined', 'n-1', ['ann'], 1],
    ];
    for (const values of wrong) {
      expect(parsePresenceEvent(Buffer.concat([Uint8Array.of(2), ...values.map(packValue)]))).toBeNull();
    }
  });

  it('is none with another first byte', () => {
    const bytes = event([true, 'n-1', packWho(ANN), 1]);
    bytes[0] = 1;
    expect(parsePresenceEvent(bytes)).toBeNull();
  });
});
