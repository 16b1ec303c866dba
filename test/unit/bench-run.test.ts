import { describe, expect, it } from 'vitest';
import { type BenchRequest, parseArguments, USAGE } from '../../bench/arguments.ts';
import { type Outcome, runRounds } from '../../bench/rounds.ts';
import type { Scenario, Shape, Trial } from '../../bench/scenarios/scenario.ts';
import type { Contender } from '../../bench/server/contender.ts';

const CHECKS = { lost: 0, repeated: 0, reordered: 0, trouble: 0, firstTrouble: null };

function shapeOf(name: string, rows: readonly string[], run: Shape['run']): Shape {
  const headline = { head: 'us', figure: 'cost', digits: 2 };
  return { name, what: `${name} it is`, rows, control: 'a', headline, columns: [], run };
}

function trial(row: string, voidBecause: string | null = null): Trial {
  return { shape: 's', row, figures: { cost: 1 }, checks: CHECKS, driverBound: false, voidBecause };
}

const OPTIONS = parse([]).options;

function contender(name: string, why: string | null = null): Contender {
  const program = { dialect: '', usesRedis: false, arguments: () => [], env: {} };
  return { name, what: name, ...program, unavailable: () => why };
}

function parse(args: readonly string[]): BenchRequest {
  const run: Shape['run'] = ({ name }) => Promise.resolve(trial(name));
  const scenarios: Scenario[] = [
    { name: 'one', question: '?', shapes: [shapeOf('x', ['a', 'b'], run), shapeOf('y', ['a'], run)] },
    { name: 'two', question: '?', shapes: [shapeOf('z', ['a', 'c'], run)] },
  ];
  return parseArguments(args, scenarios, '/broker/main.js');
}

/** `one/x:a,b` for each shape. */
function selected(...args: string[]): string[] {
  return parse(args).selections.flatMap(({ scenario, shapes }) =>
    shapes.map(({ shape, rows }) => `${scenario.name}/${shape.name}:${rows.join(',')}`),
  );
}

describe('the arguments of a bench run', () => {
  it('mean everything when there are none', () => {
    expect(selected()).toEqual(['one/x:a,b', 'one/y:a', 'two/z:a,c']);
    expect(parse([])).toMatchObject({ command: 'run', repetitions: 5, isPartial: false, record: false });
    const cores = { server: 0, redis: 1, drivers: [1] };
    expect(OPTIONS).toEqual({
      cores,
      warmUpSeconds: 4,
      seconds: 2,
      roomcastMain: '/broker/main.js',
      profileDir: null,
    });
  });

  it('refuse pipelining, which would lose requests without a word', () => {
    expect(parse(['-p', '1'])).toMatchObject({ command: 'run' });
    expect(() => parse(['-p', '4'])).toThrow('--pipelining 4: must be 1');
    expect(() => parse(['--pipelining', '10'])).toThrow('before the last one is answered');
  });

  it('choose scenarios, shapes and rows, and leave out what has none of them', () => {
    expect(selected('two', 'one')).toEqual(selected());
    expect(selected('two')).toEqual(['two/z:a,c']);
    expect(selected('--shapes', 'y,z')).toEqual(['one/y:a', 'two/z:a,c']);
    expect(selected('--rows', 'b,c')).toEqual(['one/x:b', 'two/z:c']);
    expect(selected('one', '--rows', 'b')).toEqual(['one/x:b']);
  });

  it('name a command, with what it is about behind it', () => {
    expect(parse(['gate', 'two', '--repetitions', '3'])).toMatchObject({ command: 'gate', repetitions: 3 });
    expect(selected('list', 'two')).toEqual(['two/z:a,c']);
    expect(parse(['report']).command).toBe('report');
    expect(parse(['-h']).command).toBe('help');
  });

  it.each([
    ['--shapes', 'x'],
    ['--rows', 'a'],
    ['--repetitions', '4'],
    ['--seconds', '1'],
    ['--main', 'x.js'],
    ['--profile', 'x'],
    ['--drivers', '2'],
  ])('make a partial run: %s %s', (...args) => {
    expect(parse(args).isPartial).toBe(true);
    expect(parse(['--record', ...args])).toMatchObject({ isPartial: true, record: true });
  });

  it('stay a full run with more repetitions', () => {
    expect(parse(['one', '--repetitions', '9'])).toMatchObject({ isPartial: false });
  });

  it.each([
    [['three'], 'unknown scenario "three": choose from one, two'],
    [['two', '--shapes', 'x'], 'unknown shape "x": choose from z'],
    [['--rows', 'a,d'], 'unknown row "d": choose from a, b, c'],
    [['--repetitions', '0'], '--repetitions must be a whole number of at least 1, got "0"'],
    [['--server-core', ''], '--server-core must be a whole number of at least 0, got ""'],
    [['--seconds', 'x'], '--seconds must be a number of seconds above 0, got "x"'],
    [['--colour'], "Unknown option '--colour'"],
  ])('are refused with what is wrong: %j', (args, message) => {
    expect(() => parse(args)).toThrow(message);
  });

  it('are all in the help', () => {
    for (const flag of [
      'shapes',
      'rows',
      'repetitions',
      'seconds',
      'warm-up',
      'drivers',
      'server-core',
      'main',
      'record',
    ])
      expect(USAGE).toContain(`--${flag} `);
  });
});

describe('the rounds of a shape', () => {
  const lines: string[] = [];
  const rounds = (run: Shape['run'], rows: readonly Contender[]): Promise<Outcome> =>
    runRounds(shapeOf('s', [], run), rows, 2, OPTIONS, (line) => lines.push(line));

  it('let rows take turns', async () => {
    const order: string[] = [];
    const run: Shape['run'] = ({ name }) => {
      order.push(name);
      return Promise.resolve(trial(name));
    };
    const { trials, remarks, failed } = await rounds(run, [contender('a'), contender('b')]);
    expect(order).toEqual(['a', 'b', 'a', 'b']);
    expect(trials.map(({ row }) => row)).toEqual(order);
    expect([remarks, failed]).toEqual([{}, []]);
    expect(lines).toContain('  s a: 1.00 us');
  });

  it('do void trials again, up to four rounds more', async () => {
    const run: Shape['run'] = ({ name }) => Promise.resolve(trial(name, name === 'b' ? 'busy' : null));
    const { trials } = await rounds(run, [contender('a'), contender('b')]);
    expect(trials.filter(({ row }) => row === 'a')).toHaveLength(2);
    expect(trials.filter(({ row }) => row === 'b')).toHaveLength(6);
  });

  it('give a row up that fails twice, with its error and no paths', async () => {
    let tries = 0;
    const run: Shape['run'] = ({ name }) => {
      if (name === 'a') return Promise.resolve(trial(name));
      tries++;
      return Promise.reject(new Error('/home/me/roomcast/main.js did not start:\n  no redis://host:1/2'));
    };
    const { trials, remarks, failed } = await rounds(run, [contender('a'), contender('b')]);
    expect(tries).toBe(2);
    expect(trials.map(({ row }) => row)).toEqual(['a', 'a']);
    expect(failed).toEqual(['b']);
    const remark = 'failed twice and was not tried again: main.js did not start: no redis://host:1/2';
    expect(remarks).toEqual({ b: remark });
  });

  it('try a row again that failed once, and say so', async () => {
    const outcomes = [
      Promise.reject(new Error('no port')),
      Promise.resolve(trial('a')),
      Promise.resolve(trial('a')),
    ];
    const { trials, remarks, failed } = await rounds(() => outcomes.shift()!, [contender('a')]);
    expect(trials).toHaveLength(2);
    expect(remarks).toEqual({ a: 'failed once: no port' });
    expect(failed).toEqual([]);
  });

  it('pass over a row that cannot run here, and say why', async () => {
    const { trials, remarks, failed } = await rounds(
      () => Promise.reject(new Error('was run')),
      [contender('a', 'no program on the PATH')],
    );
    expect(trials).toEqual([]);
    expect(remarks).toEqual({ a: 'skipped: no program on the PATH' });
    expect(failed).toEqual([]);
  });
});
