import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { isRateLimit, withAdvice } from '../../src/cli/bench/advice.ts';
import { addBenchOptions, type BenchOptions } from '../../src/cli/bench/options.ts';
import { type BenchPlan, planBench } from '../../src/cli/bench/plan.ts';
import { jsonReport, textReport } from '../../src/cli/bench/report.ts';
import { type BenchResult, isClean, warningsOf } from '../../src/cli/bench/result.ts';
import { progressLine } from '../../src/cli/bench/watch.ts';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import type { OpeningSummary } from '../../src/load/driver.ts';
import type { Phase } from '../../src/load/phase.ts';
import { NO_PIPES } from '../support/pipes.ts';

/** What is made of a command line, by way of the options as they are declared. */
function plan(line: string, token: string | null = null): ReturnType<typeof planBench> {
  let planned: ReturnType<typeof planBench> | null = null;
  const command = addBenchOptions(new Command('bench')).exitOverride();
  command.action((urls: readonly URL[], options: BenchOptions) => {
    planned = planBench(urls, options, token);
  });
  command.parse(line === '' ? [] : line.split(' '), { from: 'user' });
  return planned!;
}

function planned(line: string, token: string | null = null): BenchPlan {
  const result = plan(line, token);
  if ('problems' in result) throw new Error(result.problems.join('\n'));
  return result;
}

async function roomcast(line: string): Promise<{ exitCode: number; stderr: string; stdout: string }> {
  const said = { stdout: '', stderr: '' };
  const io: Io = {
    env: {},
    terminal: false,
    stderrTerminal: false,
    pipes: NO_PIPES,
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
    serve: () => Promise.reject(new Error('a bench runs no node')),
  };
  return { exitCode: await run(line.split(' '), io), ...said };
}

describe('the plan of a bench', () => {
  it('is one busy room on this machine where nothing is said', () => {
    const { urls, driver, load, opening, seconds, warmUpSeconds, cut } = planned('');
    expect(urls).toEqual(['ws://localhost:8080/ws']);
    expect(driver.targets).toEqual([{ host: 'localhost', port: 8080, isSecure: false }]);
    expect(driver.audience).toEqual({
      rooms: 1,
      membersPerRoom: 100,
      publishersPerRoom: 64,
      publishersJoin: true,
      payloadBytes: 128,
      roomPrefix: 'bench:',
    });
    expect(driver.dialect.module).toMatch(/\/load\/roomcast-dialect\.js$/);
    expect(driver.dialect.options).toEqual({ payloadBytes: 128, path: '/ws' });
    expect(load).toEqual({ kind: 'closed', inFlight: 64 });
    expect(opening.perSecond).toBeNull();
    expect({ processes: driver.cores, seconds, warmUpSeconds, cut }).toEqual({
      processes: [null],
      seconds: 10,
      warmUpSeconds: 2,
      cut: false,
    });
  });

  it('takes what is said', () => {
    const { driver, load, opening, seconds, warmUpSeconds } = planned(
      '--rooms 3 --members 7 --publishers 9 --outside --payload 20 --rate 1.5 --connect-rate 50 --seconds 0.5 --warm-up 0 --processes 2 --encoding json --room-prefix x:',
      'a-token',
    );
    expect(driver.audience).toMatchObject({ rooms: 3, membersPerRoom: 7, publishersPerRoom: 9 });
    expect(driver.audience).toMatchObject({ publishersJoin: false, payloadBytes: 20, roomPrefix: 'x:' });
    expect(driver.dialect.module).toMatch(/\/load\/roomcast-json-dialect\.js$/);
    expect(driver.dialect.options.token).toBe('a-token');
    expect(load).toEqual({ kind: 'open', perSecond: 1.5 });
    expect(driver.cores).toHaveLength(2);
    expect({ perSecond: opening.perSecond, seconds, warmUpSeconds }).toEqual({
      perSecond: 50,
      seconds: 0.5,
      warmUpSeconds: 0,
    });
  });

  it.each([
    ['http://node1', 'ws://node1/ws', { host: 'node1', port: 80, isSecure: false }],
    ['https://node1/', 'wss://node1/ws', { host: 'node1', port: 443, isSecure: true }],
    ['wss://node1:8443/rooms', 'wss://node1:8443/rooms', { host: 'node1', port: 8443, isSecure: true }],
    ['ws://[::1]:8080', 'ws://[::1]:8080/ws', { host: '::1', port: 8080, isSecure: false }],
  ])('knows %s as %s', (given, url, target) => {
    expect(planned(given)).toMatchObject({ urls: [url], driver: { targets: [target] } });
  });

  it('keeps what follows the path for the nodes alone', () => {
    const { urls, driver } = planned('ws://node1/ws?token=hush');
    expect(driver.dialect.options.path).toBe('/ws?token=hush');
    expect(urls).toEqual(['ws://node1/ws']);
  });

  it('deals members out to several nodes', () => {
    expect(planned('ws://node1 ws://node2').driver.targets.map(({ host }) => host)).toEqual([
      'node1',
      'node2',
    ]);
  });

  it.each([
    ['--rooms 500 --members 10', 1],
    ['--members 10', 10],
    ['--members 10 --outside', 64],
    ['--rate 50', 1],
    ['--rate 5000 --rooms 2', 5],
    ['--publishers 3', 3],
  ])('has as many publishers as the load needs: "%s" is %i a room', (line, publishers) => {
    expect(planned(line).driver.audience.publishersPerRoom).toBe(publishers);
  });

  it('has publishers that stay and a rate that history can hold where links are cut', () => {
    const { driver, load, cut } = planned('--cut --rooms 3');
    expect({ load, cut }).toEqual({ load: { kind: 'open', perSecond: 60 }, cut: true });
    expect(driver.audience.publishersJoin).toBe(false);
    expect(planned('--cut --in-flight 8').load).toEqual({ kind: 'closed', inFlight: 8 });
  });

  it('begins with the ramp where there is one', () => {
    const { load, warmUpSeconds } = planned('--rate 10 --ramp 3');
    expect({ load, warmUpSeconds }).toEqual({
      load: { kind: 'open', perSecond: 10, rampSeconds: 3 },
      warmUpSeconds: 0,
    });
  });

  it('names all that does not go together', () => {
    const result = plan('ws://a/x ws://b/y --publishers 3 --members 2 --ramp 3 --room-prefix $x');
    expect('problems' in result && result.problems).toEqual([
      'the URLs have different paths: nodes of a cluster share one path',
      '--publishers 3 exceeds the 2 members of a room: add --outside',
      '--ramp needs --rate, the rate to reach',
      '--room-prefix: must not start with $, which is reserved',
    ]);
  });

  it.each(['a"b', 'a\\b', 'a*', 'x'.repeat(128)])('refuses rooms called %s', (prefix) => {
    const result = plan(`--room-prefix ${prefix}`);
    expect('problems' in result && result.problems[0]).toMatch(/^--room-prefix: /);
  });
});

describe('roomcast bench, asked wrongly', () => {
  it.each([
    ['bench localhost:8080', 'It must be a URL such as ws://localhost:8080/ws'],
    ['bench --payload 19', 'It must be a whole number from 20 to 65535'],
    ['bench --rooms 0', 'It must be a whole number from 1 to 32768'],
    ['bench --members many', 'It must be a whole number from 1'],
    ['bench --rate 0', 'It must be more than 0'],
    ['bench --warm-up -1', 'It must be a number from 0'],
    ['bench --rate 5 --in-flight 3', "cannot be used with option '--in-flight <n>'"],
    ['bench --token x --token-file y', "cannot be used with option '--token-file <file>'"],
    ['bench --encoding xml', 'Allowed choices are msgpack, json'],
    ['bench --publishers 3 --members 2', 'add --outside'],
  ])('refuses "%s"', async (line, says) => {
    const { exitCode, stdout, stderr } = await roomcast(line);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(says);
  });

  it('fails where the file with the token cannot be read', async () => {
    const { exitCode, stderr } = await roomcast('bench --token-file /nowhere/token');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('--token-file: ENOENT');
  });

  it('has a help with every option and examples', async () => {
    const { exitCode, stdout } = await roomcast('bench --help');
    expect(exitCode).toBe(0);
    for (const option of addBenchOptions(new Command()).options) expect(stdout).toContain(option.long);
    expect(stdout).toContain('Examples:');
  });
});

describe('advice', () => {
  it.each([
    [
      'a driver process failed: connect ECONNREFUSED 127.0.0.1:1',
      /^connect ECONNREFUSED.* -> nothing listens/,
    ],
    ['connect EMFILE 127.0.0.1:1', /ulimit -n/],
    ['connect EADDRNOTAVAIL 10.0.0.1:80', /no free ports/],
    ['an upgrade was refused: HTTP/1.1 401 Unauthorized', /--token/],
    ['a join was refused: unauthorized (authenticate first)', /--token/],
    ['a join was refused: forbidden (not here)', /--room-prefix/],
    ['an upgrade was refused: HTTP/1.1 503 Service Unavailable', /--connect-rate/],
    ['an upgrade was refused: HTTP/1.1 429 Too Many Requests', /--connect-rate/],
    ['an upgrade was refused: HTTP/1.1 404 Not Found', /check the path/],
    ['["error",1,"rate_limited","too many commands",{}]', /limits\.commandsPerSecond/],
    ['["gap","bench:0",1,9]', /history\.messages/],
    ['the server closed a connection with code 1009', /maxPayloadBytes/],
    ['self-signed certificate', /NODE_EXTRA_CA_CERTS/],
    [
      '0C:error:0A00010B:SSL routines:f:wrong version number:../a/b.c:350:\n',
      /^TLS: wrong version number -> no TLS/,
    ],
    ['something unheard of', /^something unheard of$/],
  ])('on "%s" is %s', (what, says) => {
    expect(withAdvice(what)).toMatch(says);
  });

  it('knows what ends a load for good', () => {
    expect(isRateLimit('["error",1,"rate_limited","too many commands"]')).toBe(true);
    expect(isRateLimit('["error",1,"unavailable","no"]')).toBe(false);
  });
});

const latencyUs = {
  p50: 1500,
  p90: 9990,
  p99: 12_340,
  p999: 99_900,
  p9999: 100_000,
  max: 1_234_000,
  samples: 5882,
};
const opening: OpeningSummary = {
  opened: 1000,
  refused: 0,
  seconds: 0.25,
  driverUs: 1000,
  driverShare: 0.5,
  latencyUs: { ...latencyUs, samples: 1000 },
};
const sound: Phase = {
  seconds: 10,
  loadSeconds: 10,
  published: 1000,
  acknowledged: 1000,
  delivered: 100_000,
  unnumbered: 0,
  wsMessages: 10_000,
  bytes: 1_000_000,
  lost: 0,
  repeated: 0,
  reordered: 0,
  misrouted: 0,
  trouble: 0,
  firstTrouble: null,
  latencyUs,
  driverShare: 0.42,
  driverUs: 4_200_000,
  sleeps: 1,
};

function result(phase: Partial<Phase> = {}, rest: Partial<BenchResult> = {}): BenchResult {
  return { plan: planned(''), opening, phase: { ...sound, ...phase }, cut: null, ended: null, ...rest };
}

/** The text behind a label of the report. */
function lineOf(label: string, one: BenchResult): string {
  const line = textReport(one)
    .split('\n')
    .find((text) => text.startsWith(label));
  return line?.slice(label.length).trimStart() ?? '';
}

describe('the report of a bench', () => {
  it('says what was carried', () => {
    expect(textReport(result()).split('\n')).toEqual([
      'ws://localhost:8080/ws: 1 room of 100 members, 64 publishers, 128 bytes, 64 in flight, msgpack',
      '',
      'connections  1,000 open in 0.3 s, each p50 1.50 ms, p99 12.3 ms',
      'published    100/s (1,000 in 10.0 s)',
      'delivered    10,000/s, 10.0 room messages per WebSocket message',
      'latency      p50 1.50 ms, p90 9.99 ms, p99 12.3 ms, p99.9 99.9 ms, p99.99 100 ms, max 1,234 ms (from the publish; 5,882 samples)',
      'checked      lost 0, repeated 0, out of order 0',
      'errors       0',
      'driver       42% of a core',
      '',
    ]);
  });

  it('says what rooms without history cannot show, and does not hold it against them', () => {
    const unnumbered = result({ unnumbered: 100_000 });
    expect(lineOf('checked', unnumbered)).toBe("lost 0; no history: checked against each publisher's count");
    expect(isClean(unnumbered)).toBe(true);
    expect(lineOf('checked', result({ unnumbered: 400 }))).toBe(
      "lost 0, repeated 0, out of order 0; 400 from rooms without history: checked against each publisher's count",
    );
  });

  it('says the share that was delivered where links were cut', () => {
    const cut = { ...opening, opened: 100, refused: 3 };
    expect(lineOf('cut', result({}, { cut }))).toBe(
      '100 back in 0.3 s, each p50 1.50 ms, p99 12.3 ms, 3 attempts refused; 100% delivered',
    );
    // Never rounded up to all of it.
    expect(lineOf('cut', result({ delivered: 99_999_999, lost: 1 }, { cut }))).toMatch(
      /; 99\.999% delivered$/,
    );
    expect(lineOf('latency', result({}, { cut }))).toContain('including the time away');
  });

  it.each([
    [{ lost: 1 }, 'lost 1, repeated 0, out of order 0'],
    [{ repeated: 1 }, 'lost 0, repeated 1, out of order 0'],
    [{ reordered: 1 }, 'lost 0, repeated 0, out of order 1'],
    [{ misrouted: 1 }, 'lost 0, repeated 0, out of order 0, in the wrong room 1'],
  ])('is not clean with %o', (phase, says) => {
    expect(isClean(result(phase))).toBe(false);
    expect(lineOf('checked', result(phase))).toBe(says);
  });

  it('has the first error in words, with what to do', () => {
    const wrong = result({ trouble: 1200, firstTrouble: '["error",1,"rate_limited","too many"]' });
    expect(isClean(wrong)).toBe(false);
    expect(lineOf('errors', wrong)).toMatch(/^1,200, the first: \["error".* -> .*limits\.commandsPerSecond/);
  });

  it('warns where the driver was the limit, or the rate was not reached', () => {
    expect(warningsOf(result({ driverShare: 0.9 }))).toEqual([]);
    expect(textReport(result({ driverShare: 0.97 }))).toContain(
      '\nwarning: the driver was the bottleneck (97% of a core), so the figures measure the driver: use --processes 2 or another machine\n',
    );
    expect(warningsOf(result({}, { plan: planned('--rate 200') }))).toEqual([
      'sent only 100.0 of 200 publishes a second',
    ]);
    expect(warningsOf(result({}, { plan: planned('--rate 100') }))).toEqual([]);
  });

  it('says why it ended early', () => {
    expect(textReport(result({}, { ended: 'interrupted' }))).toContain('\nended early: interrupted\n');
    expect(isClean(result({}, { ended: 'interrupted' }))).toBe(true);
  });

  it('is an object for programs', () => {
    expect(JSON.parse(jsonReport(result({ delivered: 99_990, lost: 10 })))).toMatchObject({
      clean: false,
      urls: ['ws://localhost:8080/ws'],
      shape: { rooms: 1, membersPerRoom: 100, load: { kind: 'closed', inFlight: 64 }, processes: 1 },
      connections: { open: 1000, joinUs: { p50: 1500 } },
      publishedPerSecond: 100,
      expected: 100_000,
      delivered: 99_990,
      deliveredShare: 0.9999,
      lost: 10,
      latencyUs: { p9999: 100_000 },
      cut: null,
    });
  });
});

it('a line of progress counts anew where a stage begins', () => {
  const now = { open: 1200, published: 500, delivered: 4000, firstTrouble: null };
  const before = { published: 300, delivered: 2000 };
  expect(progressLine('measuring', now, before, 0.5)).toBe(
    'measuring: 1,200 connections open, 400 publishes/s, 4,000 deliveries/s\n',
  );
  expect(progressLine('measuring', now, { published: 9000, delivered: 9000 }, 1)).toBe(
    'measuring: 1,200 connections open, 500 publishes/s, 4,000 deliveries/s\n',
  );
  expect(progressLine('connecting', now, before, 1)).toBe('connecting: 1,200 connections open\n');
});
