import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Reload, type Reloadable } from '../../src/app/reload.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { describeReload, needingRestart, RELOADED } from '../../src/config/reload.ts';
import { SETTING_AT } from '../../src/config/settings.ts';
import type { LogFields, Logger } from '../../src/util/log.ts';

const PAGE = join(import.meta.dirname, '../../docs/configuration.md');
const BETWEEN_MARKERS = /(?<=<!-- reload:begin -->\n).*(?=<!-- reload:end -->)/s;

function config(settings: object): Config {
  const loaded = loadConfig({ settings, env: {} });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

class Lines implements Logger {
  readonly lines: (readonly [level: string, message: string, fields: LogFields])[] = [];
  readonly debug = this.#to('debug');
  readonly info = this.#to('info');
  readonly warn = this.#to('warn');
  readonly error = this.#to('error');

  #to(level: string) {
    return (fields: LogFields, message: string): void => void this.lines.push([level, message, fields]);
  }
}

// `npm run docs` writes the list.
it('docs/configuration.md lists what a reload takes, and all of that are settings', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${describeReload()}\n`)).toMatchFileSnapshot(PAGE);
  for (const path of RELOADED) expect(SETTING_AT.has(path), path).toBe(true);
});

describe('a reload', () => {
  const part = (part: string, take: Reloadable['take']): Reloadable => ({ part, take });

  it('names what needs a restart, and nothing else', () => {
    const running = config({ port: 1, limits: { bodyBytes: 2_000_000 } });
    const read = config({ port: 2, rooms: [{ match: 'a' }], apiKeys: ['a-key-of-the-tests'] });
    expect(needingRestart(running, read)).toEqual(['port', 'limits.bodyBytes', 'rooms']);
    expect(needingRestart(running, running)).toEqual([]);
  });

  it('touches nothing once the node shuts down', () => {
    const log = new Lines();
    let takes = 0;
    const parts = [part('any', () => ({ takes: ++takes }))];
    let isEnding = false;
    const reload = new Reload(parts, config({}), () => isEnding, log);
    expect([reload.run(config({})), takes]).toEqual([true, 1]);
    isEnding = true;
    expect([reload.run(config({})), takes]).toEqual([false, 1]);
    expect(log.lines.at(-1)).toEqual(['warn', 'not reloaded: the node is shutting down', {}]);
  });

  it('goes on with the other parts when one cannot use its settings', () => {
    const log = new Lines();
    const problem = new Error('no such key');
    const taken: string[] = [];
    const parts = [
      part('broken', () => {
        throw problem;
      }),
      part('sound', ({ host }) => {
        taken.push(host);
        return { host };
      }),
      part('unused', () => null),
    ];
    const running = config({});
    expect(new Reload(parts, running, () => false, log).run(config({ host: '::1', port: 5 }))).toBe(false);
    expect(taken).toEqual(['::1']);
    expect(log.lines).toEqual([
      ['error', 'not reloaded: the node keeps what it had', { part: 'broken', error: problem }],
      ['info', 'reloaded', { part: 'sound', host: '::1' }],
      ['warn', 'these settings changed and need a restart', { settings: ['host', 'port'] }],
    ]);
  });

  it('is complete when all was taken and nothing needs a restart', () => {
    const log = new Lines();
    const running = config({});
    expect(new Reload([part('p', () => null)], running, () => false, log).run(config({}))).toBe(true);
    expect(log.lines).toEqual([]);
  });
});
