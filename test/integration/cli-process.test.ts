import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** Runs the built program, as a shell would. */
function roomcast(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'dist/main.js'), ...args], {
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

it('the built program prints the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(roomcast(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

it('the built program prints its help, also when called with nothing', () => {
  const { status, stdout, stderr } = roomcast([]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('Usage: roomcast');
  expect(roomcast(['--help']).stdout).toBe(stdout);
});

it('the built program reads its own environment and exits with 1 where that is wrong', () => {
  expect(roomcast(['config', 'check'])).toEqual({
    status: 0,
    stdout: 'configuration is valid\n',
    stderr: '',
  });
  expect(roomcast(['config', 'check'], { PORT: 'x' })).toEqual({
    status: 1,
    stdout: '',
    stderr: 'environment PORT: expected a whole number from 0 to 65535, got "x"\n',
  });
});

it('the built program refuses to serve with a bad configuration', () => {
  const { status, stderr } = roomcast(['serve', '--port', '-1'], { ROOMCAST_PROT: '1' });
  expect(status).toBe(1);
  expect(stderr.split('\n')).toEqual([
    'environment ROOMCAST_PROT: unknown variable — did you mean "ROOMCAST_PORT"?',
    'flag --port: expected a whole number from 0 to 65535, got -1',
    '',
  ]);
});

it('the built program refuses an unknown command', () => {
  const { status, stderr } = roomcast(['serv']);
  expect(status).toBe(2);
  expect(stderr).toContain('Did you mean serve?');
});

it('the built program ends quietly when nobody reads what it prints', () => {
  const commands = ['--help', 'config docs', 'completion bash'];
  const run = (command: string) => `"$0" "$1" ${command} | true; echo "${command}: \${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync(
    'bash',
    ['--norc', '-c', commands.map(run).join('\n'), process.execPath, join(ROOT, 'dist/main.js')],
    { env: { PATH: process.env.PATH }, encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([...commands.map((command) => `${command}: 0`), '']);
});
