import { describe, expect, it, test } from 'vitest';
import { ALONE, asPrimary, decide, provesHandover } from '../../src/backplane/redis/lineage/decide.ts';
import { FormerPrimary } from '../../src/backplane/redis/lineage/former-primary.ts';
import { type LineageRecord, readRecord, writeRecord } from '../../src/backplane/redis/lineage/record.ts';
import { isReplica, type Replication, readReplication } from '../../src/backplane/redis/link/replication.ts';

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(40)) as [
  string,
  string,
  string,
  string,
];
const NONE = '0'.repeat(40);
const RUN = '1'.repeat(40);
const OTHER_RUN = '2'.repeat(40);

function info(role: string, replid: string, before: string, since: number): string {
  const fields = {
    run_id: RUN,
    role,
    master_replid: replid,
    master_replid2: before,
    master_repl_offset: 99,
    second_repl_offset: since,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}\r\n`);
  return `# Replication\r\n${lines.join('')}`;
}

function server(id: string, previousId = '', since = previousId === '' ? -1 : 100): Replication {
  return { id, previousId, since, offset: 99, runId: RUN, isReplica: false, replicas: [] };
}

function record(home: string, lineage = 'lineage1'): LineageRecord {
  return { home, runId: RUN, lineage };
}

describe('what a Redis says of its replication', () => {
  it('has no earlier stream on a primary that was never a replica', () => {
    expect(readReplication(info('master', A, NONE, -1))).toEqual(server(A));
  });

  it('names the stream that a promoted replica followed, and where it left it', () => {
    expect(readReplication(info('master', B, A, 4711))).toEqual(server(B, A, 4711));
  });

  it('is empty where a server does not tell', () => {
    expect(readReplication('')).toMatchObject({ id: '', previousId: '', since: -1, runId: '' });
  });

  it('lists who follows it', () => {
    const lines =
      'slave0:ip=10.0.0.7,port=6380,state=online,offset=14,lag=0\r\nslave1:ip=fd00::7,port=1,state=wait_bgsave\r\n';
    expect(readReplication(info('master', A, NONE, -1) + lines).replicas).toEqual([
      { host: '10.0.0.7', port: 6380 },
      { host: 'fd00::7', port: 1 },
    ]);
  });

  it('tells a replica, which is known as such', () => {
    expect(isReplica(info('slave', A, NONE, -1))).toBe(true);
    expect(isReplica(info('master', B, A, 4711))).toBe(false);
  });
});

describe('the record of a lineage', () => {
  test.each([record(A), record(A, ''), { home: '', runId: '', lineage: '' }])(
    'is read as written: %j',
    (one) => {
      expect(readRecord(writeRecord(one))).toEqual(one);
    },
  );

  test.each([null, '', 'x', `${A}${RUN}short`])('that is none counts as missing: %j', (text) => {
    expect(readRecord(text)).toBeNull();
  });
});

describe('the lineage of a partition', () => {
  const moved = (known: boolean, ...primaries: Replication[]) => ({ primaries, isKnown: known });

  it.each([
    ['has no record yet, on a server that was never promoted', null, server(A), ALONE, ''],
    [
      'has no record yet, on a promoted server, as earlier versions numbered',
      null,
      server(B, A),
      ALONE,
      'bbbbbbbb',
    ],
    ['is where it was', record(A), server(A), ALONE, 'lineage1'],
    ['is where it was, on a server that was promoted before', record(B), server(B, A), ALONE, 'lineage1'],
    ['is on a server that started again, or got its first replica', record(A), server(C), ALONE, 'lineage1'],
    ['is on a server that was promoted twice since', record(A), server(C, B), ALONE, 'cccccccc'],
    ['moved to a server that was never promoted', record(A), server(C), moved(true, server(A)), 'lineage1'],
    ['moved there, and the node has just started', record(A), server(C), moved(false, server(A)), 'lineage1'],
    ['moved to one that was promoted earlier', record(A), server(C, B), moved(true, server(A)), 'lineage1'],
    [
      'moved to one that may have been promoted since',
      record(A),
      server(C, B),
      moved(false, server(A)),
      'cccccccc',
    ],
    [
      'moved by way of a promoted replica of its home',
      record(A),
      server(C),
      moved(true, server(D, A)),
      'cccccccc',
    ],
    [
      'moved from a server that is gone, to a promoted one',
      record(A),
      server(C, B),
      moved(true, server(D)),
      'cccccccc',
    ],
  ] as const)('when it %s', (_, found, at, others, lineage) => {
    expect(decide(found, at, others)).toMatchObject({ lineage });
  });

  it('depends on the former primary when its replica was promoted, whoever else lives', () => {
    expect(decide(record(A), server(B, A), ALONE)).toBe('ask');
    expect(decide(record(A), server(B, A), moved(true, server(A)))).toBe('ask');
  });

  it('does not depend on a former primary where servers do not tell', () => {
    expect(decide(record(''), server(''), ALONE)).toMatchObject({ lineage: 'lineage1' });
    expect(decide(record(''), server(A), ALONE)).toMatchObject({ lineage: 'lineage1' });
  });
});

describe('a process that was the home of a partition, and is no primary among those of the cluster', () => {
  const heir = server(C, B);
  const replica = (id: string, previousId?: string) => ({ ...server(id, previousId), isReplica: true });

  it.each([
    ['is a primary without slots', server(A), A],
    ['follows the heir, and has yet to get its data', replica(A), A],
    ['follows the heir, and has its data', replica(C), A],
    ['follows the heir, and had part of its stream: a replica of its own was promoted', replica(C, A), null],
    ['follows another one', replica(D), null],
  ])('counts as one where it gave its last slots away: it %s', (_, said, id) => {
    expect(asPrimary(said, A, heir)?.id ?? null).toBe(id);
  });
});

/** As ioredis rejects. */
const WRONG_PASSWORD = Object.assign(new Error('WRONGPASS no'), { name: 'ReplyError' });

describe('the proof of a former primary', () => {
  const promoted = server(B, A, 100);
  const former: Replication = { ...server(B, A, 100), isReplica: true };

  it('is that it follows, and left its stream where the other began', () => {
    expect(provesHandover(record(A), promoted, former)).toBe(true);
  });

  it.each([
    ['began again with a full copy', { ...former, previousId: '', since: -1 }],
    ['had more', { ...former, since: 101 }],
    ['goes on as a primary', { ...server(A), offset: 100 }],
    ['is a replica that happens to be as far', { ...former, runId: OTHER_RUN }],
  ])('is refused by one that %s', (_, at) => {
    expect(provesHandover(record(A), promoted, at)).toBe(false);
  });

  it.each([
    ['is still a primary, and waits', server(A)],
    ['has not reached its successor', { ...server(A), isReplica: true }],
    ['follows one that was promoted and lost', { ...former, id: C }],
  ])('is not there yet from one that %s', (_, at) => {
    expect(provesHandover(record(A), promoted, at)).toBeNull();
  });

  it('cannot be had where a server does not name its process', () => {
    expect(provesHandover({ ...record(A), runId: '' }, promoted, { ...former, runId: '' })).toBe(false);
  });

  it.each([
    ['answers, and does not follow the new one', () => Promise.resolve(info('master', A, NONE, -1))],
    ['does not answer', () => Promise.reject(new Error('timeout'))],
    [', if it is at 10.0.0.1:6379, refuses to tell: WRONGPASS no', () => Promise.reject(WRONG_PASSWORD)],
  ])('is missed in the words that fit one that %s', async (words, says) => {
    let nowMs = 0;
    const clock = { nowMs: () => (nowMs += 2_000), wallMs: () => 0 };
    const primary = new FormerPrimary({ clock, info: says });
    primary.remember(RUN, { host: '10.0.0.1', port: 6379 });
    const doubts = await primary.doubts(record(A), promoted, () => Promise.resolve(promoted));
    expect(doubts).toBe(`the former primary${words.startsWith(',') ? '' : ' '}${words}`);
  });
});
