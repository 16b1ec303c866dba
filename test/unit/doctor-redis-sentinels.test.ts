import { describe, expect, it } from 'vitest';
import type {
  SentinelFacts,
  WatchedPrimary,
  WatchedReplica,
} from '../../src/backplane/redis/start/inspect-sentinels.ts';
import { sentinelProblem } from '../../src/backplane/redis/start/sentinel-problem.ts';
import { checkRedisSentinels, primaryOf, replicasOf } from '../../src/cli/doctor/redis-sentinels.ts';

const replica: WatchedReplica = {
  host: '10.0.1.2',
  port: 6379,
  flags: ['slave'],
  follows: '10.0.1.1:6379',
  isLinkUp: true,
};
const primary: WatchedPrimary = {
  host: '10.0.1.1',
  port: 6379,
  flags: ['master'],
  watchedForMs: 3_600_000,
  quorum: 2,
  knownSentinels: 3,
  replicas: [replica],
  quorumProblem: null,
};

function sentinel(number: number, changes: Partial<WatchedPrimary> = {}): SentinelFacts {
  const known = { primary: { ...primary, ...changes }, names: ['chat'] };
  return { address: `s${number}:26379`, found: { ...known, ignoresPassword: false } };
}
function lacking(number: number, ...names: string[]): SentinelFacts {
  return { address: `s${number}:26379`, found: { primary: null, names, ignoresPassword: false } };
}
function silent(number: number, message = 'no answer'): SentinelFacts {
  return { address: `s${number}:26379`, found: new Error(message) };
}

const sound = [sentinel(1), sentinel(2), sentinel(3)];
const levels = (facts: readonly SentinelFacts[], primaryAnswers = true) =>
  checkRedisSentinels(facts, 'chat', primaryAnswers).map(({ level, says }) => `${level}: ${says}`);
/** Of all three. */
const withReplica = (changes: Partial<WatchedReplica>) =>
  levels([1, 2, 3].map((number) => sentinel(number, { replicas: [{ ...replica, ...changes }] })));

const FINE = 'ok: 3 of 3 Sentinels watch chat at 10.0.1.1:6379, quorum 2';

it('says what three Sentinels agree on, and nothing else', () => {
  expect(levels(sound)).toEqual([FINE]);
});

it('names each that does not answer', () => {
  expect(levels([sentinel(1), sentinel(2), silent(3)])).toEqual([
    'problem: the Sentinel at s3:26379 does not answer: no answer',
    'ok: 2 of 3 Sentinels watch chat at 10.0.1.1:6379, quorum 2',
  ]);
  expect(levels([silent(1)])).toEqual(['problem: the Sentinel at s1:26379 does not answer: no answer']);
});

it('names the setting with a wrong name, and the names that there are', () => {
  expect(levels([lacking(1, 'live', 'cache'), lacking(2, 'live')])).toEqual([
    'problem: redis.sentinelName is "chat", and the Sentinels know no primary by this name: they know cache, live',
  ]);
  expect(levels([lacking(1)])[0]).toContain('they name none that they watch');
  expect(levels([sentinel(1), sentinel(2), lacking(3)])).toEqual([
    'problem: the Sentinel at s3:26379 knows no primary "chat"',
    'ok: 2 of 3 Sentinels watch chat at 10.0.1.1:6379, quorum 2',
  ]);
});

it('finds Sentinels that disagree, and looks at the primary of most', () => {
  const facts = [sentinel(1, { host: '10.0.1.9' }), sentinel(2), sentinel(3)];
  expect(levels(facts)[1]).toBe(
    'problem: they name different primaries: s1:26379 says 10.0.1.9:6379, s2:26379 says 10.0.1.1:6379, s3:26379 says 10.0.1.1:6379',
  );
  expect(primaryOf(facts)).toBe('10.0.1.1:6379');
  expect(primaryOf([silent(1), lacking(2)])).toBeNull();
});

it('says why nobody would replace the primary', () => {
  const says = 'NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum';
  expect(levels([sentinel(1, { quorumProblem: says }), silent(2), silent(3)])).toContain(
    `problem: nobody would replace the primary if it died now: the Sentinel at s1:26379 says ${says}`,
  );
  expect(levels([sentinel(1, { knownSentinels: 2 }), sentinel(2, { knownSentinels: 2 })])).toEqual([
    'warning: 2 Sentinels watch the primary: when one is lost there is no majority to replace it',
  ]);
  expect(levels([sentinel(1)])).toEqual([
    'warning: redis.sentinels names 1 of 3 Sentinels: nodes do not look for others',
  ]);
  expect(levels([sentinel(1, { flags: ['master', 's_down'] }), sentinel(2), sentinel(3)])).toEqual([
    FINE,
    'problem: the Sentinel at s1:26379 finds the primary 10.0.1.1:6379 down (master, s_down)',
  ]);
});

it('finds replicas that cannot take over', () => {
  expect(levels([1, 2, 3].map((number) => sentinel(number, { replicas: [] })))).toEqual([
    FINE,
    'warning: no replica follows 10.0.1.1:6379: when it is lost, everything is unavailable until it is back',
  ]);
  expect(withReplica({ flags: ['s_down', 'slave', 'disconnected'] })[1]).toBe(
    'warning: the replica 10.0.1.2:6379 is away (s_down, slave, disconnected): it cannot take over',
  );
  expect(withReplica({ follows: '10.0.1.9:6379' })[1]).toBe(
    'warning: the replica 10.0.1.2:6379 follows 10.0.1.9:6379, and not 10.0.1.1:6379',
  );
  expect(withReplica({ isLinkUp: false })[1]).toMatch(
    /^warning: the replica .* has no link to 10\.0\.1\.1:6379/,
  );
  // It may not be permitted to ask for them.
  expect(levels([1, 2, 3].map((number) => sentinel(number, { replicas: null })))).toEqual([FINE]);
});

it('looks only at replicas that a Sentinel reaches', () => {
  const away = { ...replica, host: '10.0.1.3', flags: ['slave', 's_down'] };
  expect(replicasOf([sentinel(1, { replicas: [replica, away] }), sentinel(2), silent(3)])).toEqual([
    '10.0.1.2:6379',
  ]);
  expect(replicasOf([sentinel(1, { replicas: [{ ...replica, host: 'fd00::2' }] })])).toEqual([
    '[fd00::2]:6379',
  ]);
});

it('a node fails to start at once only where waiting cannot help', () => {
  expect(sentinelProblem([silent(1), sentinel(2)], 'chat')).toBeNull();
  expect(sentinelProblem([lacking(1, 'live'), lacking(2)], 'chat')?.passes).toBe(false);
  // Another one may know it; nobody was told yet what to watch.
  expect(sentinelProblem([lacking(1, 'live'), silent(2)], 'chat')?.passes).toBe(true);
  expect(sentinelProblem([lacking(1), lacking(2)], 'chat')?.passes).toBe(true);
  expect(sentinelProblem([silent(1, 'WRONGPASS invalid'), silent(2)], 'chat')).toEqual({
    says: 'cannot log in to the Sentinel at s1:26379: WRONGPASS invalid: check the user and password in redis.sentinels',
    passes: false,
  });
  expect(sentinelProblem([silent(1), silent(2)], 'chat')).toEqual({
    says: 'no Sentinel answers (s1:26379: no answer, s2:26379: no answer): check that they run, and redis.sentinels',
    passes: true,
  });
});

it('a server that is not a Sentinel is called so', () => {
  const unknown =
    "ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER-ADDR-BY-NAME' 'chat' ";
  const says = 'the server at s1:26379 is not a Sentinel, but perhaps a Redis that one watches';
  expect(levels([silent(1, unknown)])).toEqual([`problem: ${says}`]);
  const advice = 'name Sentinels in redis.sentinels, whose port is 26379 by default';
  expect(sentinelProblem([silent(1, unknown)], 'chat')).toEqual({
    says: `${says}: ${advice}`,
    passes: false,
  });
  // Another one may be on its way.
  expect(sentinelProblem([silent(1, unknown), silent(2)], 'chat')?.passes).toBe(true);
});

it('a password that Sentinels do not require is a warning, once', () => {
  const open = (number: number): SentinelFacts => {
    const facts = sentinel(number);
    return facts.found instanceof Error
      ? facts
      : { ...facts, found: { ...facts.found, ignoresPassword: true } };
  };
  expect(levels([sentinel(1), open(2), open(3)])).toEqual([
    'warning: the password in redis.sentinels is not required by s2:26379, s3:26379: anyone who gets there can replace the primary',
    FINE,
  ]);
});

describe('while the primary is replaced', () => {
  const all = (changes: Partial<WatchedPrimary>) => [1, 2, 3].map((number) => sentinel(number, changes));
  const UNDER_WAY = 'warning: a failover is in progress: what else is found here may pass';

  it.each([
    ['one of them promotes a replica', [sentinel(1, { flags: ['master', 'failover_in_progress'] })]],
    ['they have not all heard of it', [sentinel(1, { host: '10.0.1.9' })]],
  ])('says so first where %s', (_, facts) => {
    expect(levels([...facts, sentinel(2), sentinel(3)])[0]).toBe(UNDER_WAY);
  });

  it('promises no failover where they agree that it is down, and none has begun', () => {
    expect(levels(all({ flags: ['master', 's_down', 'o_down'] }))[0]).toBe(
      'warning: the primary is down, and no Sentinel has begun to replace it',
    );
  });

  it('says when to look again where Sentinels have yet to hear who follows whom', () => {
    const unheard = { watchedForMs: 4_000, replicas: [{ ...replica, follows: null }] };
    expect(checkRedisSentinels(all(unheard), 'chat')).toMatchObject([
      {
        level: 'warning',
        says: expect.stringMatching(/^a failover ended 4 s ago/),
        advice: 'run this again in 11 s',
      },
      { level: 'ok' },
      { says: 'the Sentinels do not know yet whom the replica 10.0.1.2:6379 follows' },
    ]);
    // Nothing looks wrong: nothing passes.
    expect(levels(all({ watchedForMs: 4_000 }))).toEqual([FINE]);
    // What stays is wrong.
    expect(levels(all({ watchedForMs: 60_000, replicas: [{ ...replica, isLinkUp: false }] }))).toHaveLength(
      2,
    );
  });

  it('says what it may mean that the primary is silent and no Sentinel finds it down', () => {
    expect(levels(sound, false)).toEqual([
      'warning: the primary 10.0.1.1:6379 does not answer here, and no Sentinel finds it down',
      FINE,
    ]);
    expect(levels(all({ flags: ['master', 's_down'] }), false).join()).not.toContain(
      'no Sentinel finds it down',
    );
  });
});
