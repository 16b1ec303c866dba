import { describe, expect, it } from 'vitest';
import { isFailover, mergeViews, parseView } from '../../src/backplane/redis/cluster/slot-map.ts';

const [A, B, C, R] = ['a', 'b', 'c', 'r'].map((letter) => letter.repeat(40)) as [
  string,
  string,
  string,
  string,
];

interface Line {
  readonly flags?: string;
  readonly master?: string;
  readonly epoch?: number;
  readonly slots?: string;
  readonly where?: string;
}

const PORTS: Readonly<Record<string, number>> = { [A]: 7001, [B]: 7002, [C]: 7003, [R]: 7004 };

function line(id: string, { flags = 'master', master = '-', epoch = 1, slots = '', where }: Line): string {
  const place = where ?? `10.0.0.1:${PORTS[id]}@1${PORTS[id]}`;
  return `${id} ${place} ${flags} ${master} 0 1700000000000 ${epoch} connected ${slots}`.trim();
}

function view(lines: readonly string[], info = 'cluster_state:ok') {
  return parseView(`${lines.join('\n')}\n`, info, { host: '10.9.9.9' });
}

const ofA = { flags: 'myself,master', epoch: 1, slots: '0-8191' };
const ofB = { epoch: 2, slots: '8192-16383' };

describe('a view', () => {
  it('has ranges, single slots, names and ports, and none of the slots that are on their way', () => {
    const { self, lines, isDown } = view([
      line(A, {
        ...ofA,
        slots: `0-5 9 [93->-${B}] [94-<-${B}]`,
        where: '10.0.0.1:7001@17001,one.example.net,shard-id=x',
      }),
      line(B, { flags: 'master,fail', where: ':7002@17002' }),
    ]);
    expect(self).toBe(A);
    expect(isDown).toBe(false);
    expect(lines[0]).toMatchObject({ host: '10.0.0.1', hostname: 'one.example.net', port: 7001 });
    expect(lines[0]!.slots).toEqual([
      [0, 5],
      [9, 9],
    ]);
    expect(lines[1]).toMatchObject({ hasFailed: true, host: '10.9.9.9', port: 7002, slots: [] });
  });

  it('understands addresses of IPv6', () => {
    const { lines } = view([line(A, { ...ofA, where: '2001:db8::1:7001@17001' })]);
    expect(lines[0]).toMatchObject({ host: '2001:db8::1', port: 7001 });
  });

  it('says whether the server believes that the cluster is down', () => {
    const down = view([line(A, ofA)], 'cluster_state:fail\r\ncluster_slots_assigned:16384');
    expect(mergeViews([down]).down).toEqual(new Set([A]));
  });
});

describe('the map', () => {
  it('has an owner for each slot, and nobody for those that nobody claims', () => {
    const map = mergeViews([view([line(A, ofA), line(B, { epoch: 2, slots: '8192-16000' })])]);
    expect([0, 8191, 8192, 16_000].map((slot) => map.owner(slot)?.id)).toEqual([A, A, B, B]);
    expect(map.owner(16_001)).toBeNull();
  });

  it('believes the claim with the highest epoch, in whatever order the answers came', () => {
    // B took slot 5; A has not heard of it.
    const stale = view([line(A, ofA), line(B, ofB)]);
    const fresh = view([
      line(A, { epoch: 1, slots: '0-4 6-8191' }),
      line(B, { flags: 'myself,master', epoch: 7, slots: '5 8192-16383' }),
    ]);
    for (const views of [
      [stale, fresh],
      [fresh, stale],
    ]) {
      const map = mergeViews(views);
      expect([4, 5, 6].map((slot) => map.owner(slot)?.id)).toEqual([A, B, A]);
    }
  });

  it('takes the word of a server on its own slots before that of others', () => {
    // A gave slot 5 away and nobody has it yet; B still says that A has it.
    const own = view([line(A, { ...ofA, slots: '0-4 6-8191' }), line(B, ofB)]);
    const other = view([line(A, { epoch: 1, slots: '0-8191' }), line(B, { ...ofB, flags: 'myself,master' })]);
    expect(mergeViews([other, own]).owner(5)).toBeNull();
    expect(mergeViews([own, other]).owner(5)).toBeNull();
  });

  it('takes an address from whoever knows one, or from before', () => {
    const nowhere = line(A, { epoch: 9, slots: '0-8191', flags: 'master,noaddr', where: ':0@0' });
    const without = view([nowhere, line(B, { ...ofB, flags: 'myself,master' })]);
    const known = view([line(A, { ...ofA, flags: 'master' }), line(R, { flags: 'myself,slave', master: A })]);
    const place = { host: known.lines[0]!.host, port: known.lines[0]!.port };
    for (const views of [
      [without, known],
      [known, without],
    ]) {
      expect(mergeViews(views).owner(0)).toMatchObject({ ...place, id: A, epoch: 9 });
    }
    expect(mergeViews([without], mergeViews([known])).owner(0)).toMatchObject(place);
    // Nobody knows.
    expect(mergeViews([without]).owner(0)).toMatchObject({ id: A, port: 0 });
  });

  it('leaves out a master whose slots another one claimed since, though it has not noticed', () => {
    const frozen = view([line(A, ofA), line(B, ofB), line(R, { flags: 'slave', master: A })]);
    const promoted = view([
      line(A, { flags: 'master,fail', epoch: 1 }),
      line(B, ofB),
      line(R, { flags: 'myself,master', epoch: 3, slots: '0-8191' }),
    ]);
    const map = mergeViews([promoted, frozen]);
    expect(map.masters.map(({ id }) => id).sort()).toEqual([B, R].sort());
    expect(map.owner(0)).toMatchObject({ id: R, port: 7004, epoch: 3, isOwnWord: true });
  });

  const replica = line(R, { flags: 'slave', master: A });
  const told = mergeViews([
    view([
      line(A, { flags: 'myself,slave', master: R, epoch: 3 }),
      line(B, ofB),
      line(R, { epoch: 3, slots: '0-8191' }),
    ]),
  ]);
  const behind = [
    line(A, { epoch: 1, slots: '0-8191' }),
    line(B, { ...ofB, flags: 'myself,master' }),
    replica,
  ];

  it('keeps a claim that was seen while others have yet to hear of it', () => {
    expect(told.owner(0)).toMatchObject({ id: R, isOwnWord: false });
    const map = mergeViews([view(behind)], told);
    expect(map.owner(0)?.id).toBe(R);
    // From one map to the next.
    expect(mergeViews([view(behind)], map).owner(0)?.id).toBe(R);
  });

  it('drops what was seen of a server when that one says otherwise, or nobody knows it', () => {
    const own = view([line(R, { flags: 'myself,master', epoch: 3, slots: '0-99' })]);
    expect(mergeViews([view(behind), own], told).owner(200)?.id).not.toBe(R);
    expect(mergeViews([view(behind.slice(0, 2))], told).owner(0)?.id).not.toBe(R);
  });
});

describe('a master that has nothing any more', () => {
  const before = mergeViews([view([line(A, ofA), line(B, ofB), line(R, { flags: 'slave', master: A })])]);
  const [master] = before.masters.filter(({ id }) => id === A);

  it('was replaced if its replica has its slots', () => {
    const after = mergeViews([
      view([line(R, { flags: 'myself,master', epoch: 3, slots: '0-8191' }), line(B, ofB)]),
    ]);
    expect(isFailover(before, after, master!)).toBe(true);
  });

  it('gave them away if another has them', () => {
    const all = { flags: 'myself,master', epoch: 3, slots: '0-16383' };
    expect(isFailover(before, mergeViews([view([line(B, all)])]), master!)).toBe(false);
  });

  it('is not replaced while it has some', () => {
    const after = mergeViews([
      view([line(A, { ...ofA, slots: '0-100' }), line(R, { epoch: 3, slots: '101-8191' })]),
    ]);
    expect(isFailover(before, after, master!)).toBe(false);
  });
});
