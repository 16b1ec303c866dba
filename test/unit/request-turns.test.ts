/** Bodies of client requests: what they cost before they are parsed, and when that is. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Allowance } from '../../src/connection/allowance.ts';
import { CommandTurns, UNITS_A_TURN } from '../../src/connection/command-turns.ts';
import { overLimit } from '../../src/connection/over-limit.ts';
import { sendingLimits } from '../../src/connection/sending-limits.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { ClientBodies } from '../../src/transport/clients/client-bodies.ts';
import { parsingUnits, RequestTurns, readingUnits } from '../../src/transport/clients/request-turns.ts';
import { valuesIn } from '../../src/transport/clients/values-in.ts';
import type { Exchange } from '../../src/transport/http/exchange.ts';
import type { HttpError } from '../../src/transport/http/http-error.ts';
import { UnfinishedBodies } from '../../src/transport/http/unfinished-bodies.ts';
import { NO_LIMITS } from '../support/no-limits.ts';
import { Session } from '../support/session.ts';

describe('bodies that are whole in one turn', () => {
  it('are read until it is used up, and the others in the next ones, in order', async () => {
    const turns = new CommandTurns({ request: () => undefined });
    const requests = new RequestTurns(turns);
    const begin = (units: number) => (requests.take(units) ? null : requests.wait(units));
    const dense = parsingUnits(64 * (UNITS_A_TURN / 4));
    const read: number[] = [];
    for (let n = 0; n < 12; n++) {
      const turn = begin(dense);
      if (turn === null) read.push(n);
      else void turn.then(() => read.push(n));
    }
    expect(read).toEqual([0, 1, 2, 3]);
    turns.nextTurn();
    await Promise.resolve();
    expect(read).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    // A small one does not overtake those that wait.
    const last = begin(1);
    expect(last).not.toBeNull();
    turns.nextTurn();
    await Promise.resolve();
    expect(read).toHaveLength(12);
    turns.nextTurn();
    await last;
    expect([turns.waiting, begin(1)]).toEqual([0, null]);
  });
});

describe('bodies of clients', () => {
  const MEGABYTE = 1_048_576;
  const A_TURN = Math.ceil(UNITS_A_TURN / readingUnits(MEGABYTE));

  /** The routes' bodies, of which each request brings a megabyte at once. */
  function clientBodies(unfinishedBodyBytes: number) {
    const session = new Session();
    const { context } = session.connection;
    const unfinished = new UnfinishedBodies(unfinishedBodyBytes);
    const requests = new RequestTurns(context.turns);
    const parts = { context, bodyBytes: MEGABYTE, bodies: unfinished, turns: requests };
    const bodies = new ClientBodies(parts);
    const exchange = {
      bodyFormat: { format: 'json' },
      body: () => Promise.resolve(Buffer.alloc(MEGABYTE, '[')),
    } as unknown as Exchange;
    const tooLarge = overLimit('payload_too_large', 'too large', 'limits.bodyBytes', 1, null);
    const read = () => bodies.read(exchange, Infinity, tooLarge, true);
    return { session, unfinished, bodies, read };
  }

  it('are looked through for values in turns, and count as unfinished until then', async () => {
    const { session, unfinished, read } = clientBodies(0);
    let done = 0;
    const all = Array.from({ length: 3 * A_TURN }, () => read().then(() => done++));
    await setImmediate();
    expect(done).toBe(A_TURN);
    expect(unfinished.bytes).toBeGreaterThan(2 * A_TURN * 0.9 * MEGABYTE);
    for (let turn = 2; turn <= 3; turn++) {
      session.endTurn();
      await setImmediate();
      expect(done).toBe(turn * A_TURN);
    }
    await Promise.all(all);
    expect(unfinished.bytes).toBe(0);
  });

  it('beyond what may be unfinished are refused', async () => {
    const { session, unfinished, read } = clientBodies(2 * MEGABYTE);
    const all = Array.from({ length: A_TURN + 3 }, () =>
      read().then(
        () => 'read',
        (error: HttpError) => error.details,
      ),
    );
    await setImmediate();
    session.endTurn();
    const results = await Promise.all(all);
    const refused = { limit: 'limits.unfinishedBodyBytes', retryAfterMs: expect.any(Number) };
    expect(results.filter((result) => result === 'read')).toHaveLength(A_TURN + 2);
    expect(results.at(-1)).toEqual(refused);
    expect(unfinished.bytes).toBe(0);
  });

  it('with more values than their sender may send are refused before they wait to be parsed', async () => {
    const { session, bodies, read } = clientBodies(0);
    const limits = sendingLimits({ ...NO_LIMITS, bytesPerSecond: 1, byteBurst: 2 * MEGABYTE });
    Object.assign(session.connection.context, { limits });
    const body = await read();
    expect(body.values).toBe(MEGABYTE + 1);
    const { left } = session.turns;
    await expect(bodies.charge(body, new Allowance(), null)).rejects.toMatchObject({ code: 'rate_limited' });
    expect(session.turns.left).toBe(left);
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
