import { describe, expect, it } from 'vitest';
import { Backlog } from '../../src/cli/rooms/backlog.ts';

/** A reader that takes one write at a time, when the test lets it. */
class Reader {
  readonly written: string[] = [];
  readonly said: string[] = [];
  readonly flushed: number[] = [];
  #waiting: ((isRead: boolean) => void)[] = [];
  readonly backlog = new Backlog<number>(
    (text) => {
      this.written.push(text);
      return new Promise((resolve) => this.#waiting.push(resolve));
    },
    {
      full: () => this.said.push('full'),
      low: () => this.said.push('low'),
      flushed: (tags) => this.flushed.push(...tags),
      closed: () => this.said.push('closed'),
    },
    { most: 10_000, low: 2_000 },
  );

  async take(isRead = true): Promise<void> {
    this.#waiting.shift()?.(isRead);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a backlog', () => {
  it('writes what comes in one turn together, and hands back the tags when that has left', async () => {
    const reader = new Reader();
    for (const tag of [1, 2, 3]) reader.backlog.add(`${tag}\n`, tag);
    await reader.take();
    expect(reader.written).toEqual(['1\n2\n3\n']);
    reader.backlog.add('4\n', 4);
    expect(reader.flushed).toEqual([]);
    await reader.take();
    expect(reader.flushed).toEqual([1, 2, 3]);
    await reader.take();
    await reader.backlog.drained();
    expect(reader.flushed).toEqual([1, 2, 3, 4]);
    expect(reader.said).toEqual([]);
  });

  it('passes on a tag without text in its place, and writes nothing for it', async () => {
    const reader = new Reader();
    reader.backlog.add('', 1);
    await reader.backlog.drained();
    expect({ written: reader.written, flushed: reader.flushed }).toEqual({ written: [], flushed: [1] });
  });

  it('is full once while its reader stands still, and low once it has been read', async () => {
    const reader = new Reader();
    for (let tag = 0; tag < 40; tag++) reader.backlog.add('x'.repeat(300), tag);
    expect(reader.said).toEqual(['full']);
    while (!reader.backlog.isEmpty) await reader.take();
    expect(reader.said).toEqual(['full', 'low']);
    expect(reader.flushed).toEqual(Array.from({ length: 40 }, (_, tag) => tag));
  });

  it('counts items without text too', () => {
    const reader = new Reader();
    for (let tag = 0; tag < 100; tag++) reader.backlog.add('', tag);
    expect(reader.said).toEqual(['full']);
  });

  it('ends when nobody reads: what did not leave is not handed back', async () => {
    const reader = new Reader();
    reader.backlog.add('a', 1);
    await reader.take();
    await reader.take(false);
    reader.backlog.add('b', 2);
    await reader.backlog.drained();
    expect(reader.said).toEqual(['closed']);
    expect({ written: reader.written, flushed: reader.flushed }).toEqual({ written: ['a'], flushed: [] });
  });
});
