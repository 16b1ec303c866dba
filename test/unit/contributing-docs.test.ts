/** What the documents for contributors name exists. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string) => readFileSync(`${ROOT}${file}`, 'utf8');
const { scripts, engines } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  engines: { node: string };
};

describe.each(['CONTRIBUTING.md', 'SECURITY.md', 'CODE_OF_CONDUCT.md', 'test/README.md'])(
  '%s',
  (document) => {
    const text = read(document);
    const all = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((match) => match[1]!))];

    it('names npm scripts that exist', () => {
      const named = all(/npm run (?:-s )?([\w:]+)/g);
      expect(named.filter((name) => !(name in scripts))).toEqual([]);
    });

    it('names files and folders that exist', () => {
      const folders = '(?:src|test|bench|deploy|\\.ci|\\.github)/';
      const named = all(new RegExp(`((?<![\\w./-])${folders}[\\w./-]*\\w)`, 'g'));
      expect(named.filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
    });

    it('links to files that exist', () => {
      const folder = document.includes('/') ? `${document.slice(0, document.lastIndexOf('/'))}/` : '';
      const linked = all(/\]\((?!https?:)([^)#]+)/g);
      expect(linked.filter((path) => !existsSync(`${ROOT}${folder}${path}`))).toEqual([]);
    });
  },
);

it('every test script is in the documents', () => {
  const names = Object.keys(scripts).filter((name) => name.startsWith('test:'));
  const text = `${read('CONTRIBUTING.md')}${read('test/README.md')}`;
  expect(names.filter((name) => !text.includes(`:${name.slice('test:'.length)}\``))).toEqual([]);
});

it('the workflow runs what .ci/run runs, on the Node of .nvmrc and on 22', () => {
  const { jobs } = parse(read('.github/workflows/ci.yml')) as {
    jobs: { test: { strategy: { matrix: { node: number[] } }; steps: { run?: string }[] } };
  };
  expect(jobs.test.strategy.matrix.node).toEqual([Number(read('.nvmrc')), 22]);
  expect(engines.node).toMatch(new RegExp(`^>=${read('.nvmrc').trim()}\\.`));
  expect(jobs.test.steps.map(({ run }) => run)).toContain('.ci/run');
  expect(read('.ci/run')).toContain('npm ci --no-audit --no-fund && npm test');
  expect(read('README.md')).toContain('npm ci && npm test');
});
