/** The scripts of .ci/, in repositories made for the occasion. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const CI = fileURLToPath(new URL('../../.ci/', import.meta.url));
const CHANGELOG = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Rooms.\n';
let repository: string;

const git = (...args: string[]) => execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim();
const write = (file: string, text: string) => writeFileSync(join(repository, file), text);
const run = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(CI, script), ...args], { cwd: repository, encoding: 'utf8' });

beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), 'roomcast-kit-'));
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'user.name', 'Test');
  git('config', 'user.email', 'test@example.com');
  git('config', 'commit.gpgsign', 'false');
  write('package.json', JSON.stringify({ name: 'x', version: '0.1.0', scripts: { test: 'exit 0' } }));
  write('CHANGELOG.md', CHANGELOG);
  for (const file of ['LICENSE', 'README.md']) write(file, file);
  mkdirSync(join(repository, 'src/client'), { recursive: true });
  write('src/client/package.json', JSON.stringify({ name: 'x-client', version: '0.1.0' }, null, 2));
  mkdirSync(join(repository, 'dist'));
  for (const file of ['index.js', 'main.js']) write(`dist/${file}`, '');
  git('add', '--all');
  git('commit', '--quiet', '--message', 'project: begin');
});

afterEach(() => rmSync(repository, { recursive: true }));

describe('checking commit messages', () => {
  it.each([
    ['backplane: keep what was stored', null],
    ['backplane: keep what was stored\n\nSymptom and mechanism.', null],
    ["Merge branch 'other'", null],
    ['keep what was stored', 'must be `area: imperative sentence`'],
    ['Backplane: keep', 'must be `area: imperative sentence`'],
    ['cellar: keep what was stored', 'unknown area, "cellar"'],
    ['test: hold it.', 'full stop'],
    [`test: ${'x'.repeat(67)}`, 'has 73 characters: at most 72'],
    ['test: hold it\nand more', 'blank line'],
  ])('%j: %s', (message, says) => {
    write('message', message);
    const { status, stderr } = run('commits.mjs', '--message', 'message');
    expect(status).toBe(says === null ? 0 : 1);
    expect(stderr).toContain(says ?? '');
  });

  it('looks at all commits of a range', () => {
    for (const subject of ['test: one', 'two', 'fixup! test: one']) {
      git('commit', '--quiet', '--allow-empty', '--message', subject);
    }
    const { status, stderr } = run('commits.mjs', 'HEAD~3..HEAD');
    expect([status, stderr.trim().split('\n')]).toEqual([
      1,
      [
        '"fixup! test: one" is to be squashed before it is merged',
        '"two" must be `area: imperative sentence`',
      ],
    ]);
    expect(run('commits.mjs', 'HEAD~3..HEAD~2').status).toBe(0);
  });

  it('runs as a hook of git', () => {
    git('config', 'core.hooksPath', join(CI, 'hooks'));
    mkdirSync(join(repository, '.ci'));
    write('.ci/commits.mjs', readFileSync(join(CI, 'commits.mjs'), 'utf8'));
    expect(() => git('commit', '--quiet', '--allow-empty', '--message', 'no area')).toThrow('must be `area:');
    git('commit', '--quiet', '--allow-empty', '--message', 'test: go');
    expect(git('log', '-1', '--format=%s')).toBe('test: go');
  });
});

describe('making a release', () => {
  it('cuts the changelog, sets the version, commits and tags', () => {
    const { status, stderr } = run('release.mjs', '0.2.0');
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('release:')]);
    for (const file of ['package.json', 'src/client/package.json']) {
      expect(JSON.parse(readFileSync(join(repository, file), 'utf8')).version).toBe('0.2.0');
    }
    expect(readFileSync(join(repository, 'CHANGELOG.md'), 'utf8')).toMatch(
      /^# Changelog\n\n## \[Unreleased\]\n\n## \[0\.2\.0\] - \d{4}-\d\d-\d\d\n\n### Added\n\n- Rooms\.\n$/,
    );
    expect(git('log', '-1', '--format=%s')).toBe('project: release 0.2.0');
    expect(git('tag', '--list', '--format=%(refname:short) %(contents)')).toBe(
      'v0.2.0 0.2.0\n\n### Added\n\n- Rooms.',
    );
    expect(git('status', '--porcelain')).toBe('');
    // Nothing is unreleased any more.
    expect(run('release.mjs', '0.3.0').stderr).toContain('has nothing under');
  });

  it('changes nothing with --check', () => {
    expect(run('release.mjs', '0.1.0', '--check').status).toBe(0);
    expect([git('status', '--porcelain'), git('tag')]).toEqual(['', '']);
  });

  it.each([
    ['a tree that is not clean', '0.2.0', 'is not clean', () => write('README.md', 'changed')],
    ['a version that is not higher', '0.0.9', 'not higher than 0.1.0', () => undefined],
    ['what is no version', 'v1', 'usage:', () => undefined],
    ['a tag that exists', '0.2.0', 'v0.2.0 exists', () => git('tag', 'v0.2.0')],
  ])('refuses %s', (_, version, says, prepare) => {
    prepare();
    const { status, stderr } = run('release.mjs', version);
    expect([status, stderr]).toEqual([1, expect.stringContaining(says)]);
  });

  it('refuses a package that lacks the program, and stops where a test fails', () => {
    git('rm', '--quiet', 'dist/main.js');
    git('commit', '--quiet', '--message', 'test: lack it');
    expect(run('release.mjs', '0.2.0').stderr).toContain('the package would lack dist/main.js');
    write('dist/main.js', '');
    write('package.json', JSON.stringify({ name: 'x', version: '0.1.0', scripts: { test: 'exit 1' } }));
    git('add', '--all');
    git('commit', '--quiet', '--message', 'test: fail');
    expect(run('release.mjs', '0.2.0').status).not.toBe(0);
    expect(git('tag')).toBe('');
  });
});
