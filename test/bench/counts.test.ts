import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countFigures } from '../../bench/gate/figures.ts';
import { RedisServer } from '../support/redis.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});

afterAll(() => redis.dispose());

/** The regression gate in the form that no noise can move: what is counted, not what is timed. */
describe.each(['memory', 'redis'])('what a message costs on the %s backplane', (backplane) => {
  it('stays within its budgets of system calls, codec calls and memory', async () => {
    const figures = await countFigures(ROOT, backplane === 'redis' ? redis.url : null);
    const over = figures.filter(({ value, budget }) => value > budget);
    expect(over, JSON.stringify(figures, null, 1)).toEqual([]);
  }, 120_000);
});
