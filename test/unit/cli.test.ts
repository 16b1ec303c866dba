import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import type { Config } from '../../src/config/config.ts';
import { describeConfig } from '../../src/config/describe.ts';
import { maskUrl } from '../../src/config/mask.ts';
import { NO_PIPES } from '../support/pipes.ts';

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly served: readonly Config[];
}

async function roomcast(line: string, options: Partial<Pick<Io, 'env' | 'serve'>> = {}): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const served: Config[] = [];
  const exitCode = await run(line === '' ? [] : line.split(' '), {
    env: {},
    terminal: false,
    stderrTerminal: false,
    pipes: NO_PIPES,
    stdout: (text) => out.push(text),
    stderr: (text) => err.push(text),
    serve: async (config) => {
      served.push(config);
    },
    ...options,
  });
  return { exitCode, stdout: out.join(''), stderr: err.join(''), served };
}

let folder: string;
let file: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-cli-'));
  file = join(folder, 'roomcast.yaml');
  writeFileSync(file, 'port: 1234\nhost: 127.0.0.1\n');
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('roomcast', () => {
  it.each(['', '--help', '-h'])('prints its commands and examples, called with "%s"', async (line) => {
    const { exitCode, stdout, stderr } = await roomcast(line);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/serve .*run a node/);
    expect(stdout).toContain('roomcast serve --redis redis://localhost:6379');
  });

  it('prints no Markdown in the help of a command', async () => {
    const { stdout } = await roomcast('serve --help');
    expect(stdout).toContain('--api-key <key>');
    expect(stdout).toContain('(default: mymaster)');
    expect(stdout).not.toMatch(/`|\]\(/);
  });

  it.each([
    ['serv', "unknown command 'serv'", 'Did you mean serve?'],
    ['config chek', "unknown command 'chek'", 'Did you mean check?'],
    ['serve --prot 1', "unknown option '--prot'", 'Did you mean --port?'],
    ['serve --port', 'argument missing', '(see roomcast serve --help)'],
    ['token mint', "required option '--user <id>'", '(see roomcast token mint --help)'],
    ['serve now', 'too many arguments', '--help'],
  ])('refuses "%s" and says what to do', async (line, problem, remedy) => {
    const { exitCode, stdout, stderr, served } = await roomcast(line);
    expect({ exitCode, stdout, served }).toEqual({ exitCode: 2, stdout: '', served: [] });
    expect(stderr).toContain(problem);
    expect(stderr).toContain(remedy);
  });
});

describe('roomcast serve', () => {
  it('runs a node with what the file, the environment and the flags say', async () => {
    const line = `serve --config ${file} --port 4321 --redis redis://r --api-key first-key-of-two --api-key second-key-of-two --no-demo --log-level error`;
    const { exitCode, served } = await roomcast(line, { env: { ROOMCAST_DRAIN_WINDOW_MS: '5' } });
    expect(exitCode).toBe(0);
    expect(served).toHaveLength(1);
    expect(served[0]).toMatchObject({
      host: '127.0.0.1',
      port: 4321,
      redis: { url: 'redis://r' },
      apiKeys: ['first-key-of-two', 'second-key-of-two'],
      demo: false,
      log: { level: 'error', format: 'auto' },
      drain: { windowMs: 5 },
    });
  });

  it('shows the demo page in production where a flag asks for it', async () => {
    const { served } = await roomcast('serve --demo', { env: { NODE_ENV: 'production' } });
    expect(served[0]?.demo).toBe(true);
  });

  it('prints every problem on a line of its own, and does not start', async () => {
    const { exitCode, stderr, served } = await roomcast('serve --port x --log-format y', {
      env: { PORT: 'z' },
    });
    expect({ exitCode, served }).toEqual({ exitCode: 1, served: [] });
    expect(stderr.split('\n')).toEqual([
      'environment PORT: expected a whole number from 0 to 65535, got "z"',
      'flag --port: expected a whole number from 0 to 65535, got "x"',
      'flag --log-format: expected one of auto, pretty, json, got "y"',
      '',
    ]);
  });

  it('says in one sentence why a node did not start, without secrets', async () => {
    const { exitCode, stderr } = await roomcast('serve', {
      serve: () => Promise.reject(new Error('cannot reach redis://:hush@redis:6379')),
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: 'cannot reach redis://:***@redis:6379\n' });
  });

  it('adds the stack where the log level is debug', async () => {
    const { stderr } = await roomcast('serve --log-level debug', {
      serve: () => Promise.reject(new Error('no luck')),
    });
    expect(stderr).toMatch(/^Error: no luck\n +at /);
  });

  it('finds the sentence inside an error of several addresses', async () => {
    const inner = [new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')];
    const { stderr } = await roomcast('serve', { serve: () => Promise.reject(new AggregateError(inner)) });
    expect(stderr).toBe('connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1\n');
  });
});

describe('roomcast config', () => {
  it('checks a configuration', async () => {
    const valid = await roomcast(`config check --config ${file}`);
    expect(valid).toMatchObject({ exitCode: 0, stdout: 'configuration is valid\n', stderr: '' });
    const invalid = await roomcast('config check', { env: { ROOMCAST_PORTT: '1', ROOMCAST_DEMO: 'x' } });
    expect(invalid).toMatchObject({ exitCode: 1, stdout: '' });
    expect(invalid.stderr.split('\n')).toHaveLength(3);
  });

  it('prints the effective configuration as YAML, with secrets masked', async () => {
    const env = {
      REDIS_URL: 'rediss://user:hush@redis:6380/1',
      ROOMCAST_API_KEYS: 'hush-hush-hush-hush,hush1-hush1-hush1',
      ROOMCAST_AUTH_SECRET: 'hush'.repeat(8),
      ROOMCAST_TLS_CERT_FILE: file,
      ROOMCAST_TLS_KEY_FILE: file,
      ROOMCAST_TLS_PASSPHRASE: 'hush',
    };
    const { exitCode, stdout } = await roomcast(`config print --config ${file}`, { env });
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain('hush');
    expect(parse(stdout)).toMatchObject({
      port: 1234,
      apiKeys: ['***', '***'],
      redis: { url: 'rediss://user:***@redis:6380/1', partitions: 128 },
      auth: { secret: '***', issuer: null },
      tls: { certFile: file, passphrase: '***' },
    });
  });

  it('prints problems instead of a configuration that has some', async () => {
    const { exitCode, stdout, stderr } = await roomcast('config print', { env: { PORT: 'x' } });
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain('environment PORT');
  });

  it('prints the tables of the documentation, which its help does not mention', async () => {
    expect((await roomcast('config docs')).stdout).toBe(`${describeConfig()}\n`);
    const { exitCode, stdout } = await roomcast('config');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('print');
    expect(stdout).not.toContain('docs');
  });
});

it('a URL that is none is masked whole', () => {
  expect(maskUrl('redis:hush @ host')).not.toContain('hush');
  expect(maskUrl('redis://localhost:6379')).toBe('redis://localhost:6379');
});
