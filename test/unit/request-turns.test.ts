/** Bodies of client requests: what they cost before they are parsed, and when that is. */
import { describe, expect, it } from 'vitest';
import { CommandTurns, UNITS_A_TURN } from '../../src/connection/command-turns.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { RequestTurns } from '../../src/transport/clients/request-turns.ts';
import { valuesIn } from '../../src/transport/clients/values-in.ts';

describe('bodies that are whole in one turn', () => {
  it('are read until it is used up, and the others in the next ones, in order', async () => {
    const turns = new CommandTurns({ request: () => undefined });
    const requests = new RequestTurns(turns);
    const dense = 64 * (UNITS_A_TURN / 4);
    const read: number[] = [];
    for (let n = 0; n < 12; n++) {
      const turn = requests.wait(100, dense);
      if (turn === null) read.push(n);
      else void turn.then(() => read.push(n));
    }
    expect(read).toEqual([0, 1, 2, 3]);
    turns.nextTurn();
    await Promise.resolve();
    expect(read).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    // A small one does not overtake those that wait.
    const last = requests.wait(10, 1);
    expect(last).not.toBeNull();
    turns.nextTurn();
    await Promise.resolve();
    expect(read).toHaveLength(12);
    turns.nextTurn();
    await last;
    expect([turns.waiting, requests.wait(10, 1)]).toEqual([0, null]);
  });
});

describe('the values of a body', () => {
  const json = (value: unknown) => valuesIn(Buffer.from(JSON.stringify(value)), 'json');

  it.each([
    ['lists in a list', Array.from({ length: 1000 }, () => [])],
    ['numbers', Array.from({ length: 1000 }, (_, n) => n)],
    ['fields', Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`k${n}`, true]))],
    ['text with commas', ','.repeat(1000)],
    ['text', 'x'.repeat(1000)],
  ])('(%s) are at most twice the bytes that they take', (what, value) => {
    const values = json(value);
    expect(values).toBeLessThanOrEqual(2 * packValue(value).length + 1);
    if (what !== 'text') expect(values).toBeGreaterThanOrEqual(1000);
  });
});
