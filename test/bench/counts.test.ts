import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canTrace } from '../../bench/gate/counted-node.ts';
import { countFigures, isWithin } from '../../bench/gate/figures.ts';
import { RedisServer } from '../support/redis.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});

afterAll(() => redis.dispose());

const countsSystemCalls = canTrace();
if (!countsSystemCalls) console.warn('strace cannot be used here: system calls are not counted');

it.skipIf(!countsSystemCalls)('system calls can be counted here', () => {
  // Its skip fails a run with CI=true; the tests below would leave the system calls out without a word.
});

/** The regression gate in the form that no noise can move: what is counted, not what is timed. */
describe.each(['memory', 'redis'])('what a message costs on the %s backplane', (backplane) => {
  it('stays within its limits of system calls, codec calls and memory', async () => {
    const figures = await countFigures(ROOT, backplane === 'redis' ? redis.url : null);
    const beyond = figures.filter((figure) => !isWithin(figure));
    expect(beyond, JSON.stringify(figures, null, 1)).toEqual([]);
  }, 120_000);
});
