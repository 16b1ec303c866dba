/** What is kept of bodies that are still arriving. */
import { describe, expect, it } from 'vitest';
import { ArrivingBody } from '../../src/transport/http/arriving-body.ts';
import { UnfinishedBodies } from '../../src/transport/http/unfinished-bodies.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function chunk(bytes: number): ArrayBuffer {
  return new Uint8Array(bytes).fill(7).buffer;
}

describe('bodies that are still arriving', () => {
  it('share their room, but for the first 16 KiB of each', () => {
    const bodies = new UnfinishedBodies(100 * KIB);
    const small = Array.from({ length: 50 }, () => new ArrivingBody(MIB, bodies));
    for (const body of small) expect(body.add(chunk(16 * KIB), false)).toBe(true);
    expect(bodies.bytes).toBe(0);
    const large = [new ArrivingBody(MIB, bodies), new ArrivingBody(MIB, bodies)];
    expect(large.map((body) => body.add(chunk(66 * KIB), false))).toEqual([true, true]);
    expect(bodies.bytes).toBe(100 * KIB);
    expect(new ArrivingBody(MIB, bodies).add(chunk(17 * KIB), false)).toBe(false);
    expect(bodies.bytes).toBe(100 * KIB);
  });

  it('give it back when they are whole, too large, or given up', () => {
    const bodies = new UnfinishedBodies(MIB);
    const [whole, tooLarge, givenUp] = [1, 2, 3].map(() => new ArrivingBody(100 * KIB, bodies));
    for (const body of [whole!, tooLarge!, givenUp!]) body.add(chunk(50 * KIB), false);
    expect(bodies.bytes).toBe(3 * 34 * KIB);
    expect(whole!.add(chunk(10 * KIB), true)).toBe(true);
    expect(Buffer.alloc(60 * KIB, 7).equals(whole!.whole() as Buffer)).toBe(true);
    expect(tooLarge!.add(chunk(60 * KIB), false)).toBe(true);
    expect(bodies.bytes).toBe(34 * KIB);
    givenUp!.drop();
    givenUp!.drop();
    expect(bodies.bytes).toBe(0);
    expect(tooLarge!.whole()).toBe('too large');
    expect(bodies.bytes).toBe(0);
  });

  it('need none for the last chunk: by then they are whole', () => {
    const bodies = new UnfinishedBodies(1);
    const body = new ArrivingBody(MIB, bodies);
    expect(body.add(chunk(500 * KIB), true)).toBe(true);
    expect(body.whole()).toHaveLength(500 * KIB);
  });

  it('in tiny chunks take no more room than they are long, and are cut off', () => {
    const bodies = new UnfinishedBodies(MIB);
    const body = new ArrivingBody(64 * KIB, bodies);
    let chunks = 0;
    while (!body.isFlood && chunks < 100_000) {
      expect(body.add(chunk(1), false)).toBe(true);
      chunks++;
    }
    // A thousand for nothing, and those that cost as much as a body may have.
    expect(chunks).toBeLessThan(1300);
    const lines = new ArrivingBody(64 * KIB, bodies);
    for (let line = 0; line < 600; line++) lines.add(chunk(100), false);
    expect(lines.isFlood).toBe(false);
    expect(lines.add(chunk(0), true)).toBe(true);
    expect(Buffer.alloc(60_000, 7).equals(lines.whole() as Buffer)).toBe(true);
    body.drop();
    expect(bodies.bytes).toBe(0);
  });

  it('that are too large are read on for as much again, so that their clients read the answer', () => {
    const body = new ArrivingBody(64 * KIB, null);
    for (let n = 0; n < 3; n++) body.add(chunk(64 * KIB), false);
    expect(body.isFlood).toBe(false);
    body.add(chunk(1), false);
    expect(body.isFlood).toBe(true);
  });

  it('are not kept where their length says that they are too large', () => {
    const bodies = new UnfinishedBodies(MIB);
    const late = new ArrivingBody(64 * KIB, bodies, 65 * KIB);
    expect(late.add(chunk(60 * KIB), false)).toBe(true);
    expect([bodies.bytes, late.isFlood]).toEqual([0, false]);
    expect(late.whole()).toBe('too large');
  });

  it('have as much set aside as their length says, at most, and twice of what came', () => {
    const bodies = new UnfinishedBodies(10 * MIB);
    const body = new ArrivingBody(MIB, bodies, 100 * KIB);
    body.add(chunk(40 * KIB), false);
    expect(bodies.bytes).toBe((40 - 16) * KIB);
    for (const more of [10, 1, 40]) body.add(chunk(more * KIB), false);
    expect(bodies.bytes).toBe((100 - 16) * KIB);
    body.add(chunk(9 * KIB), true);
    expect(Buffer.alloc(100 * KIB, 7).equals(body.whole() as Buffer)).toBe(true);
  });

  it('are put together from chunks of any size', () => {
    for (const sizes of [[], [0], [5], [3, 0, 4], [1, 1, 1, 1, 1, 1, 1], [100, 1, 300], [7, 5000, 1, 9000]]) {
      const body = new ArrivingBody(MIB, null);
      const parts = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
      for (const [i, part] of parts.entries()) body.add(part.slice().buffer, i === parts.length - 1);
      expect(body.whole()).toEqual(Buffer.concat(parts));
    }
  });

  it('of which a chunk may not be kept are not kept at all', () => {
    const bodies = new UnfinishedBodies(MIB);
    const body = new ArrivingBody(MIB, bodies);
    expect(body.add(chunk(50 * KIB), false)).toBe(true);
    expect(body.add(chunk(50 * KIB), false, false)).toBe(false);
    expect([body.isDropped, bodies.bytes]).toEqual([true, 0]);
    expect(body.add(chunk(50 * KIB), true)).toBe(true);
  });

  it('are charged what is set aside for them', () => {
    const bodies = new UnfinishedBodies(10 * MIB);
    const body = new ArrivingBody(MIB, bodies);
    for (let n = 0; n < 500; n++) body.add(chunk(KIB), false);
    expect(bodies.bytes).toBe((512 - 16) * KIB);
  });

  it('are not limited for those who are known, nor where the limit is 0', () => {
    expect(new ArrivingBody(MIB, null).add(chunk(MIB), false)).toBe(true);
    expect(new ArrivingBody(MIB, new UnfinishedBodies(0)).add(chunk(MIB), false)).toBe(true);
  });
});
