import { expect, it } from 'vitest';
import type { ClusterFacts, MasterFacts } from '../../src/backplane/redis/cluster/inspect-cluster.ts';
import { disagreements } from '../../src/backplane/redis/cluster/named-addresses.ts';
import { parseView } from '../../src/backplane/redis/cluster/slot-map.ts';
import type { RedisFacts } from '../../src/backplane/redis/start/inspect.ts';
import { ok, warning } from '../../src/cli/doctor/finding.ts';
import { checkRedisCluster, together } from '../../src/cli/doctor/redis-cluster.ts';
import { redisAddress } from '../../src/util/redis-url.ts';

function master(number: number, facts: Partial<RedisFacts> = {}): MasterFacts {
  const found = { connectedReplicas: 1, needsFullCoverage: false, ...facts } as RedisFacts;
  return { address: `10.0.0.${number}:6379`, partitions: 40 + number, hasNodes: number === 1, found };
}

const three = [master(1), master(2), master(3)];
const sound: ClusterFacts = { masters: three, replicas: [], lost: 0, isDown: false, named: [] };
const levels = (facts: ClusterFacts) =>
  checkRedisCluster(facts).map(({ level, says }) => `${level}: ${says}`);

it('says who has how much of a sound cluster, and nothing else', () => {
  expect(levels(sound)).toEqual([
    'ok: partitions by master: 10.0.0.1:6379 has 41, 10.0.0.2:6379 has 42, 10.0.0.3:6379 has 43',
  ]);
});

it('finds what makes rooms unavailable, now or when a master is lost', () => {
  const some = [master(1, { connectedReplicas: 0 }), master(2, { needsFullCoverage: true })];
  expect(levels({ ...sound, masters: some, lost: 2, isDown: true })).toEqual([
    'problem: it says that it is down (cluster_state:fail)',
    'problem: 2 partitions have no master: their rooms are unavailable',
    'ok: partitions by master: 10.0.0.1:6379 has 41, 10.0.0.2:6379 has 42',
    expect.stringMatching(/^warning: only 2 of its masters have rooms/),
    expect.stringMatching(/^warning: no replica follows 10\.0\.0\.1:6379/),
    expect.stringMatching(/^warning: 10\.0\.0\.2:6379 refuses everything while any slot/),
  ]);
});

it('calls no partition of a master well that does not answer', () => {
  const silent = { ...master(1), found: new Error('no answer') };
  expect(levels({ ...sound, masters: [silent, master(2), master(3)] })).toEqual([
    'ok: partitions by master: 10.0.0.2:6379 has 42, 10.0.0.3:6379 has 43',
    'problem: 10.0.0.1:6379 does not answer: the rooms of its 41 partitions are unavailable, and with it signals, presence and revocation of the whole cluster',
  ]);
  const all = three.map((one) => ({ ...one, found: new Error('no answer') }));
  expect(levels({ ...sound, masters: all }).filter((one) => one.startsWith('ok'))).toEqual([]);
});

it('finds servers that are named by more than one address', () => {
  const line = (id: string, place: string, flags: string) =>
    `${id.repeat(40)} ${place} ${flags} - 0 0 1 connected`;
  const view = (...lines: string[]) => parseView(lines.join('\n'), '', { host: '10.0.0.1' });
  const views = [
    view(
      line('a', '10.0.0.1:7001@17001', 'myself,master'),
      line('b', '10.0.0.2:7002@17002,b.example', 'master'),
    ),
    view(
      line('a', '10.0.0.1:7001@17001', 'master'),
      line('b', '10.9.9.9:7002@17002,b.example', 'myself,master'),
    ),
  ];
  const named = disagreements(views, redisAddress('redis://10.0.0.1'));
  expect(named).toEqual([{ own: '10.9.9.9:7002', others: ['10.0.0.2:7002'] }]);
  const told = checkRedisCluster({ ...sound, named });
  expect(told[1]).toMatchObject({
    level: 'warning',
    says: 'the server that announces 10.9.9.9:7002 is named 10.0.0.2:7002 by others',
    advice: expect.stringContaining('cluster-announce-ip'),
  });
  // With TLS nodes go by names, and those agree.
  expect(disagreements(views, redisAddress('rediss://10.0.0.1'))).toEqual([]);
  const others = levels({ ...sound, named: [{ own: null, others: ['10.0.0.2:1', '10.0.0.3:1'] }] });
  expect(others[1]).toBe(
    'warning: the servers name one of them by different addresses: 10.0.0.2:1 and 10.0.0.3:1',
  );
});

it('finds replicas that could not take over, or would refuse the nodes then', () => {
  const replica = (number: number, found: Error) => ({
    address: `10.0.0.${number}:6379`,
    follows: '10.0.0.1:6379',
    found,
  });
  const replicas = [
    replica(4, Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })),
    replica(5, new Error('WRONGPASS invalid username-password pair or user is disabled.')),
  ];
  expect(levels({ ...sound, replicas }).slice(1)).toEqual([
    'warning: the replica 10.0.0.4:6379 of 10.0.0.1:6379 does not answer (ECONNREFUSED): it cannot take over',
    'problem: the replica 10.0.0.5:6379 of 10.0.0.1:6379 refuses the login of redis.url (WRONGPASS invalid username-password pair or user is disabled): once it takes over, the rooms of 10.0.0.1:6379 are unavailable',
  ]);
});

it('says once what is true of all servers, and of whom it is true otherwise', () => {
  const version = ok('redis server', 'version 7.2.0');
  const full = warning('redis memory', 'there is no limit', 'set one');
  const link = (address: string) => ok('redis link', `${address} answers within 1 ms`);
  const found = together(
    new Map([
      ['a:1', [version, link('a:1')]],
      ['b:2', [version, link('b:2'), full]],
    ]),
  );
  expect(found.map(({ says }) => says)).toEqual([
    'version 7.2.0',
    'a:1 answers within 1 ms',
    'b:2 answers within 1 ms',
    'b:2: there is no limit',
  ]);
});
