import { expect, test } from 'vitest';
import { Readiness } from '../../src/backplane/redis/health/readiness.ts';
import { type Logger, silentLog } from '../../src/util/log.ts';

function watched(problem: string | null) {
  const lines: string[] = [];
  const keep: Logger['info'] = (_, message) => lines.push(message);
  const state = { problem };
  const readiness = new Readiness({
    problem: () => state.problem,
    linkProblem: () => state.problem,
    resumed: () => undefined,
    log: { ...silentLog, info: keep, warn: keep },
    shard: '10.0.0.1:6379',
  });
  readiness.start();
  const turns = (next: string | null) => {
    state.problem = next;
    readiness.review();
  };
  return { lines, turns };
}

test('one that was not ready yet is not called ready again', () => {
  const { lines, turns } = watched('its links are not up yet');
  turns(null);
  turns('gone');
  turns(null);
  expect(lines).toEqual(['redis shard is ready', 'redis shard is not ready', 'redis shard is ready again']);
});

test('one that began ready is ready again after it was not', () => {
  const { lines, turns } = watched(null);
  turns('gone');
  turns(null);
  expect(lines).toEqual(['redis shard is not ready', 'redis shard is ready again']);
});
