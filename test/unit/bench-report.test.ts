import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plot } from '../../bench/report/plot.ts';
import { replaceBetween, report } from '../../bench/report/readme.ts';
import { merged, rounded, type ScenarioRecord, type ShapeRecord } from '../../bench/report/record.ts';
import { readRecord, writeRecord } from '../../bench/report/record-files.ts';
import { median, type ShapeView, summarise } from '../../bench/report/summary.ts';
import { markdownTable, textTable } from '../../bench/report/table.ts';
import type { Scenario, Trial } from '../../bench/scenarios/scenario.ts';

const VIEW: ShapeView = {
  name: 'burst',
  what: '1 room x 1,000 members',
  rows: ['bare', 'node', 'peer'],
  control: 'bare',
  headline: { head: 'us/delivery', figure: 'cost', digits: 3 },
  columns: [
    { head: 'deliveries/s', figure: 'rate', digits: 0, kind: 'limited' },
    { head: 'server', figure: 'share', digits: 0, kind: 'share' },
    { head: 'redis us/pub', figure: 'redis', digits: 1 },
  ],
};

const CLEAN = { lost: 0, repeated: 0, reordered: 0, trouble: 0, firstTrouble: null };

function trial(row: string, figures: Record<string, number>, but: Partial<Trial> = {}): Trial {
  return { shape: 'burst', row, figures, checks: CLEAN, driverBound: false, voidBecause: null, ...but };
}

const TRIALS: readonly Trial[] = [
  trial('node', { cost: 0.5, rate: 900, share: 0.5, redis: NaN }, { driverBound: true }),
  trial('bare', { cost: 4, rate: 100, share: 0.991 }),
  trial('node', { cost: 0.25, rate: 300, share: 0.6 }),
  trial('bare', { cost: 2, rate: 300, share: 1 }),
  trial('node', { cost: 0.3, rate: 500, share: 0.7 }),
];

function shapeRecord(name: string, takenAt: string, trials = TRIALS): ShapeRecord {
  const machine = {
    cpu: 'a processor',
    cores: 2,
    memoryGiB: 8,
    kernel: '6.1.0',
    node: 'v22.0.0',
    redis: '7.2.0',
  };
  return {
    ...VIEW,
    name,
    machine: { ...machine, connectionTracking: false, takenAt },
    versions: { roomcast: '0.1.0 at abc', ioredis: '6.0.0' },
    terms: {
      repetitions: 5,
      warmUpSeconds: 2,
      seconds: 3,
      serverCore: 0,
      driverCores: [1],
      isProfiled: false,
    },
    legend: { bare: 'the control row', node: 'a node', peer: 'another broker' },
    remarks: { peer: 'skipped: no peer on the PATH' },
    trials: trials.map((one) => ({ ...one, shape: name })),
  };
}

function scenarioOf(...shapes: string[]): Scenario {
  const run = (): Promise<Trial> => Promise.reject(new Error('not in this test'));
  return { name: 'fan-out', question: 'What?', shapes: shapes.map((name) => ({ ...VIEW, name, run })) };
}

function recordOf(...shapes: ShapeRecord[]): ScenarioRecord {
  return { scenario: 'fan-out', question: 'What?', shapes };
}

describe('a summary', () => {
  const [bare, node] = summarise(VIEW, TRIALS);

  it('has the rows that were tried, in the order of the shape', () => {
    expect(summarise(VIEW, TRIALS).map(({ row }) => row)).toEqual(['bare', 'node']);
  });

  it('has the median of the headline, its range, and its ratio to the control row', () => {
    expect(node?.headline).toMatchObject({ median: 0.3, low: 0.25, high: 0.5, values: [0.5, 0.25, 0.3] });
    expect(bare?.headline).toMatchObject({ median: 3, low: 2, high: 4 });
    expect([bare?.ratio, node?.ratio]).toEqual([1, 0.3 / 3]);
  });

  it('has no ratio where the control row did not run', () => {
    const without = TRIALS.filter(({ row }) => row !== 'bare');
    expect(summarise(VIEW, without)[0]?.ratio).toBeNaN();
  });

  it('takes rates from trials in which the driver was not the limit, and all else from all', () => {
    expect(node?.figures.get('rate')).toMatchObject({ median: 400, isStarred: false });
    expect(node?.figures.get('share')?.median).toBe(0.6);
    expect(node).toMatchObject({ counted: 3, driverBound: 1, voided: 0 });
  });

  it('stars rates and latencies, and nothing else, where the driver was the limit in every trial', () => {
    const bound = [trial('bare', { cost: 1, rate: 7, share: 1, p99: 8 }, { driverBound: true })];
    const figures = summarise(VIEW, bound)[0]?.figures;
    expect(figures?.get('rate')).toMatchObject({ median: 7, isStarred: true });
    expect(figures?.get('p99')?.isStarred).toBe(true);
    expect(figures?.get('cost')?.isStarred).toBe(false);
  });

  it('leaves void trials out of the figures but not out of the checks', () => {
    const checks = { lost: 3, repeated: 2, reordered: 1, trouble: 4, firstTrouble: 'closed 1006' };
    const noisy = trial('bare', { cost: 99 }, { voidBecause: 'others were busy', checks });
    const summary = summarise(VIEW, [noisy, noisy, ...TRIALS])[0];
    expect(summary?.headline.median).toBe(3);
    expect(summary).toMatchObject({ counted: 2, voided: 2 });
    const sums = { lost: 6, repeated: 4, reordered: 2, trouble: 8, firstTrouble: 'closed 1006' };
    expect(summary?.checks).toEqual(sums);
  });

  it('has NaN, not a failure, for a row whose trials were all void', () => {
    const summary = summarise(VIEW, [trial('bare', { cost: 1 }, { voidBecause: 'others were busy' })])[0];
    expect(summary?.headline.median).toBeNaN();
    expect(summary?.ratio).toBeNaN();
  });

  it('knows the median of an even number, of one and of none', () => {
    expect([median([3, 1]), median([7]), median([10, 9, 100, 1])]).toEqual([2, 7, 9.5]);
    expect(median([])).toBeNaN();
  });
});

describe('a table', () => {
  it('is aligned text for the terminal, with what else there is to know below', () => {
    expect(textTable(VIEW, summarise(VIEW, TRIALS), { peer: 'skipped: no peer on the PATH' })).toBe(
      [
        'row   us/delivery  x bare     low..high  deliveries/s  server  redis us/pub  lost/rep/ord/err  runs',
        'bare        3.000    1.00  2.000..4.000           200    100%             -           0/0/0/0     2',
        'node        0.300    0.10  0.250..0.500           400     60%             -           0/0/0/0     3',
        'peer: skipped: no peer on the PATH',
      ].join('\n'),
    );
  });

  it('is Markdown for GitHub, with what failed programs said taken as text', () => {
    const starred = [trial('bare', { cost: 1, rate: 7, share: 1 }, { driverBound: true })];
    const lines = markdownTable(VIEW, summarise(VIEW, starred), { peer: 'failed once: <b>|\nx' }).split('\n');
    expect(lines).toEqual([
      '| row  | us/delivery | x bare |    low..high | deliveries/s | server | redis us/pub | lost/rep/ord/err | runs |',
      '| ---- | ----------: | -----: | -----------: | -----------: | -----: | -----------: | ---------------: | ---: |',
      '| bare |       1.000 |   1.00 | 1.000..1.000 |           7* |   100% |            - |          0/0/0/0 |    1 |',
      '',
      'peer: failed once: \\<b\\>\\| x',
    ]);
  });

  it('shows void trials and the first trouble', () => {
    const checks = { ...CLEAN, lost: 2, firstTrouble: 'closed 1006' };
    const text = textTable(VIEW, summarise(VIEW, [trial('bare', {}, { checks, voidBecause: 'busy' })]), {});
    expect(text).toMatch(
      /bare +- +- +- +- +- +- +2\/0\/0\/0 +0 \(-1\)\nbare: trouble, the first of it: closed 1006$/,
    );
  });
});

describe('a plot', () => {
  const summaries = summarise(VIEW, TRIALS);
  const latencies = { p50: 100, p90: 300, p99: 2000, p999: 9000, p9999: NaN };
  const slow = TRIALS.map((one) => ({ ...one, figures: { ...one.figures, ...latencies } }));

  it('has the name and the cost of every row, and what the shape is', () => {
    const svg = plot([{ view: VIEW, summaries }]);
    for (const text of ['bare', 'node', 'burst', VIEW.what, '0.300', '0.10 x']) expect(svg).toContain(text);
    expect(svg).toMatch(/^<svg /);
    expect(svg).not.toContain('99.99%');
  });

  it('has costs without ratios where the control row did not run', () => {
    const svg = plot([{ view: VIEW, summaries: summarise(VIEW, [trial('node', { cost: 0.3 })]) }]);
    expect(svg).toContain('>0.300</text>');
  });

  it('has latencies where trials do', () => {
    const svg = plot([{ view: VIEW, summaries: summarise(VIEW, slow) }]);
    for (const text of ['99.99%', 'latency by percentile', '100 us', '10 ms']) expect(svg).toContain(text);
  });

  it('is the same, byte for byte, for the same trials', () => {
    const shapes = [
      { view: VIEW, summaries: summarise(VIEW, slow) },
      { view: { ...VIEW, name: 'single' }, summaries },
    ];
    expect(plot(shapes)).toBe(plot(shapes));
  });

  it('is logarithmic where rows differ by more than 20 times, and linear elsewhere', () => {
    const drawn = (cost: number): string => {
      const trials = [trial('bare', { cost: 1 }), trial('node', { cost })];
      return plot([{ view: VIEW, summaries: summarise(VIEW, trials) }]);
    };
    expect(drawn(19)).not.toContain('logarithmic');
    expect(drawn(21)).toContain('logarithmic');
    expect(drawn(0)).not.toContain('logarithmic');
  });

  it('is empty where no row has a headline', () => {
    expect(plot([{ view: VIEW, summaries: summarise(VIEW, [trial('bare', {})]) }])).toBe('');
  });
});

describe('a record', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'roomcast-report-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('is read as it was written, figures that there are not included', () => {
    const record = recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z'));
    writeRecord(directory, record);
    expect(readRecord(directory, 'fan-out')).toEqual(record);
    expect(readdirSync(directory).sort()).toEqual(['fan-out.json', 'fan-out.md', 'fan-out.svg']);
  });

  it('has a line for each trial', () => {
    writeRecord(directory, recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z')));
    const lines = readFileSync(join(directory, 'fan-out.json'), 'utf8').split('\n');
    expect(lines.filter((line) => line.startsWith('{"row":'))).toHaveLength(TRIALS.length);
  });

  it('says in words what was asked, when, where and of what', () => {
    writeRecord(directory, recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z')));
    const page = readFileSync(join(directory, 'fan-out.md'), 'utf8');
    const measured =
      '2026-01-02, a processor x 2, 8 GiB, Linux 6.1.0, Node v22.0.0, Redis 7.2.0, Roomcast 0.1.0 at abc, 5 repetitions of 3 s';
    for (const text of [
      'What?',
      measured,
      '(fan-out.svg)',
      '| node ',
      'a node',
      'peer: skipped: no peer on the PATH',
    ])
      expect(page).toContain(text);
  });

  it('takes shapes that were run again, keeps the others as they are and drops those that are gone', () => {
    const before = recordOf(
      shapeRecord('burst', 'old'),
      shapeRecord('gone', 'old'),
      shapeRecord('rooms', 'old'),
    );
    const after = merged(scenarioOf('single', 'burst', 'rooms'), before, [
      shapeRecord('rooms', 'new'),
      shapeRecord('single', 'new'),
    ]);
    expect(after.shapes.map(({ name, machine }) => [name, machine.takenAt])).toEqual([
      ['single', 'new'],
      ['burst', 'old'],
      ['rooms', 'new'],
    ]);
  });

  it('keeps six digits of a figure', () => {
    const { figures } = rounded(trial('bare', { cost: 1.23456789, rate: 123456789, none: Infinity }));
    expect(figures).toEqual({ cost: 1.23457, rate: 123457000, none: NaN });
  });

  it('is of no use in another format', () => {
    writeFileSync(join(directory, 'fan-out.json'), '{"format":0}');
    expect(() => readRecord(directory, 'fan-out')).toThrow('is of format 0, not 1');
    expect(readRecord(directory, 'another')).toBeNull();
  });

  describe('in the lab book and the digest', () => {
    const PAGE = 'before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n';

    function reportOf(scenario: Scenario, digest = PAGE): string[] {
      const paths = {
        results: directory,
        labBook: join(directory, 'bench.md'),
        digest: join(directory, 'benchmarks.md'),
      };
      writeFileSync(paths.labBook, PAGE.replaceAll('bench:', 'results:'));
      writeFileSync(paths.digest, digest);
      report([scenario, { ...scenario, name: 'never-run' }], paths);
      return [paths.labBook, paths.digest].map((path) => readFileSync(path, 'utf8'));
    }

    it('takes the place of what stood between the markers', () => {
      writeRecord(directory, recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z')));
      const [bench, top] = reportOf(scenarioOf('burst'));
      expect(bench).toContain('(results/fan-out.svg)');
      expect(bench).toContain('| node |       0.300 |   0.10 |');
      expect(top).toContain('| node |     0.300 (0.10 x) |');
      expect(top).toContain('2026-01-02, a processor x 2');
      for (const text of [bench, top]) {
        expect(text).toMatch(/^before\n<!-- .*<!-- .*:end -->\nafter\n$/s);
        expect(text).not.toContain('old');
      }
    });

    it('is shown as its scenario shows it today', () => {
      writeRecord(directory, recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z')));
      const { shapes, ...rest } = scenarioOf('burst');
      const headline = { head: 'a rate', figure: 'rate', digits: 0 };
      const [, top] = reportOf({ ...rest, shapes: shapes.map((shape) => ({ ...shape, headline })) });
      expect(top).toContain('burst, a rate');
      expect(readFileSync(join(directory, 'fan-out.md'), 'utf8')).toContain('a rate');
    });

    it('changes neither where one has no markers', () => {
      writeRecord(directory, recordOf(shapeRecord('burst', '2026-01-02T03:04:05.000Z')));
      expect(() => reportOf(scenarioOf('burst'), 'nothing')).toThrow(
        /benchmarks\.md needs <!-- bench:begin --> and/,
      );
      expect(readFileSync(join(directory, 'bench.md'), 'utf8')).toContain('old');
    });

    it('is an error where nothing is recorded', () => {
      expect(() => reportOf(scenarioOf('burst'))).toThrow('nothing is recorded');
    });

    it('wants its markers in order', () => {
      expect(() => replaceBetween('<!-- a:end --><!-- a:begin -->', 'a', 'x', 'file')).toThrow('file needs');
    });
  });
});
