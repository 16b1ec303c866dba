import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoomMemory } from '../../src/backplane/redis/detach.ts';

/** As a read of a socket brings it: a little of a large chunk. */
function arrived(text: Uint8Array): Buffer {
  const chunk = Buffer.allocUnsafeSlow(65_536);
  chunk.set(text, 100);
  return chunk.subarray(100, 100 + text.length);
}

describe('the memory of a room', () => {
  it('keeps what it was given, whatever comes after', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 40 }), (texts) => {
        const memory = new RoomMemory();
        const kept = texts.map((text) => memory.detach(arrived(text)));
        kept.forEach((bytes, i) => {
          expect(bytes.equals(texts[i]!)).toBe(true);
        });
      }),
    );
  });

  it('holds a first small envelope in no more than its own bytes', () => {
    const kept = new RoomMemory().detach(arrived(Buffer.alloc(300)));
    expect(kept.buffer.byteLength).toBe(300);
  });

  it('never holds more than a page for a small one, nor more than itself for a large one', () => {
    const memory = new RoomMemory();
    for (let i = 0; i < 1000; i++) {
      const length = 1 + ((i * 37) % 2000);
      const kept = memory.detach(arrived(Buffer.alloc(length)));
      expect(kept.buffer.byteLength).toBeLessThanOrEqual(length > 1024 ? length : 4096);
    }
  });

  it('leaves where it is what fills most of its memory', () => {
    const own = Buffer.allocUnsafeSlow(500);
    expect(new RoomMemory().detach(own)).toBe(own);
  });
});
