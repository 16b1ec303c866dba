import { describe, expect, it } from 'vitest';
import { LeaseWatch } from '../../src/backplane/redis/presence/lease-watch.ts';

/** Looks at the records once a second from `fromMs` to `toMs`; returns when each node was first reported. */
function lapses(
  watch: LeaseWatch,
  records: (nowMs: number) => Record<string, string>,
  times: readonly number[],
): Map<string, number> {
  const first = new Map<string, number>();
  for (const nowMs of times) {
    for (const node of watch.look(new Map(Object.entries(records(nowMs))), nowMs)) {
      if (!first.has(node)) first.set(node, nowMs);
    }
  }
  return first;
}

function seconds(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * 1000);
}

function build(): LeaseWatch {
  return new LeaseWatch({ leaseMs: 6_000, maxGapMs: 3_000 });
}

describe('a lease', () => {
  it('lapses when its record did not change for its time, by the clock of the one who watches', () => {
    const records = (nowMs: number) => ({ dead: '1:7:6000:', alive: `1:${nowMs}:6000:` });
    expect(lapses(build(), records, seconds(0, 20))).toEqual(new Map([['dead', 6_000]]));
  });

  it('lapses after the time that its own record names', () => {
    const records = () => ({ patient: '1:7:12000:', hasty: '1:7:2000:', odd: 'what' });
    const expected = [
      ['hasty', 2_000],
      ['odd', 6_000],
      ['patient', 12_000],
    ] as const;
    expect(lapses(build(), records, seconds(0, 20))).toEqual(new Map(expected));
  });

  it('has its time anew when it changes just before the end', () => {
    const records = (nowMs: number) => ({ node: nowMs < 5_000 ? '1:1:6000:' : '1:2:6000:' });
    expect(lapses(build(), records, seconds(0, 20))).toEqual(new Map([['node', 11_000]]));
  });

  it('has its time anew after nobody watched: it may not have been able to renew', () => {
    const times = [...seconds(0, 4), ...seconds(40, 60)];
    expect(lapses(build(), () => ({ node: '1:1:6000:' }), times)).toEqual(new Map([['node', 46_000]]));
  });

  it('is reported until it is gone', () => {
    const watch = build();
    lapses(watch, () => ({ node: '1:1:6000:' }), seconds(0, 6));
    expect(watch.look(new Map([['node', '1:1:6000:']]), 7_000)).toEqual(['node']);
    expect(watch.look(new Map([['node', '1:1:6000:other']]), 8_000)).toEqual([]);
    expect(watch.look(new Map(), 9_000)).toEqual([]);
  });
});
