/** Bodies of requests, spread over turns of the event loop. */
import { beforeEach, expect, it } from 'vitest';
import { BODY_BYTES_A_TURN, BodyTurns, MOST_BODY_BYTES_A_TURN } from '../../src/transport/http/body-turns.ts';

const CHUNK = 512 * 1024;
const CHUNKS_A_TURN = BODY_BYTES_A_TURN / CHUNK;

let endTurn: () => void;
let turns: BodyTurns;

beforeEach(() => {
  let due: (() => void)[] = [];
  turns = new BodyTurns({ atEndOfTurn: (work) => due.push(work) });
  endTurn = () => {
    const works = due;
    due = [];
    for (const work of works) work();
  };
});

/** A request whose socket always has more to read. */
class Body {
  isPaused = false;
  /** How often the socket was paused and resumed. */
  changes = 0;
  chunks = 0;

  pause(): void {
    this.changes++;
    this.isPaused = true;
  }

  resume(): void {
    this.changes++;
    this.isPaused = false;
  }

  /** What uWebSockets.js does with it in one turn. */
  read(): void {
    if (this.isPaused) return;
    this.chunks++;
    turns.arrived(this, CHUNK);
  }
}

const bodies = (count: number) => Array.from({ length: count }, () => new Body());

it('a few at a time are read as fast as they come', () => {
  const few = bodies(CHUNKS_A_TURN - 1);
  for (let turn = 0; turn < 10; turn++) {
    for (const body of few) body.read();
    endTurn();
  }
  expect(few.map(({ chunks, changes }) => [chunks, changes])).toEqual(few.map(() => [10, 0]));
});

it('many at a time are read in turns, as many bytes in each as one may have', () => {
  const many = bodies(100);
  for (const body of many) body.read();
  for (let turn = 0; turn < 50; turn++) {
    const before = many.reduce((sum, { chunks }) => sum + chunks, 0);
    endTurn();
    for (const body of many) body.read();
    const chunks = many.reduce((sum, body) => sum + body.chunks, 0) - before;
    // Those that the first turn did not pause are paused in the second.
    expect(chunks).toBeLessThanOrEqual(turn === 0 ? 2 * CHUNKS_A_TURN : CHUNKS_A_TURN);
    expect(chunks).toBeGreaterThan(0);
  }
  const [least, most] = [Math.min(...many.map((b) => b.chunks)), Math.max(...many.map((b) => b.chunks))];
  expect(most - least).toBeLessThanOrEqual(1);
});

it('one that does not use its turn keeps nobody waiting', () => {
  const many = bodies(20);
  for (const body of many) body.read();
  const last = many.at(-1)!;
  expect(last.isPaused).toBe(true);
  for (let turn = 0; last.isPaused; turn++) {
    endTurn();
    expect(turn).toBeLessThanOrEqual(20 / CHUNKS_A_TURN);
  }
  endTurn();
  expect(turns.waiting).toBe(0);
});

it('one that ended is read again, unless it is gone', () => {
  const many = bodies(CHUNKS_A_TURN + 2);
  for (const body of many) body.read();
  const [ended, gone] = many.slice(-2) as [Body, Body];
  turns.end(ended, false);
  turns.end(gone, true);
  turns.end(gone, true);
  expect([ended.isPaused, gone.isPaused]).toEqual([false, true]);
  endTurn();
  endTurn();
  expect(gone.changes).toBe(1);
});

it('so many new ones at once are kept, small ones always, and as many in the next turn', () => {
  const most = MOST_BODY_BYTES_A_TURN / CHUNK;
  for (let turn = 0; turn < 3; turn++) {
    const kept = Array.from({ length: 500 }, () => turns.keeps(CHUNK));
    expect(kept.filter(Boolean)).toHaveLength(most);
    expect(turns.keeps(16 * 1024)).toBe(true);
    endTurn();
  }
});
