import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLogger, withoutSecrets } from '../../src/cli/logger.ts';
import type { Config } from '../../src/config/config.ts';
import { silentLog } from '../../src/util/log.ts';

function collect(log: Config['log'], terminal = false) {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { log: createLogger(log, { stream, terminal }), lines };
}

describe('a log', () => {
  it('is JSON with an ISO time and the level by name where nobody looks at a terminal', () => {
    const { log, lines } = collect({ level: 'info', format: 'auto' });
    log.warn({ room: 'a' }, 'history is behind');
    const { time, ...line } = JSON.parse(lines.join(''));
    expect(line).toEqual({ level: 'warn', room: 'a', msg: 'history is behind' });
    expect(new Date(time).toISOString()).toBe(time);
  });

  it('is for people on a terminal, and where it is asked for', () => {
    for (const [format, terminal] of [
      ['auto', true],
      ['pretty', false],
    ] as const) {
      const { log, lines } = collect({ level: 'info', format }, terminal);
      log.info({ port: 1 }, 'listening');
      expect(lines.join('')).toMatch(/INFO.*listening.*port/s);
      expect(lines.join('')).not.toMatch(/^\{/);
    }
    const { log, lines } = collect({ level: 'info', format: 'json' }, true);
    log.info({}, 'listening');
    expect(lines.join('')).toMatch(/^\{/);
  });

  it('leaves the example of a URL as it is, and no other password', () => {
    const example = 'expected a URL such as rediss://user:password@host:6380/0';
    expect(withoutSecrets(example)).toBe(example);
    expect(withoutSecrets('redis://user:password@redis:6379')).toBe('redis://user:***@redis:6379');
    expect(withoutSecrets('redis://other:password@host:6380')).toBe('redis://other:***@host:6380');
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = collect({ level: 'error', format: 'json' });
    log.debug({}, 'a');
    log.warn({}, 'b');
    log.error({}, 'c');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['c']);
  });

  it.each(['json', 'pretty'] as const)('masks secrets in fields, texts and errors (%s)', (format) => {
    const { log, lines } = collect({ level: 'info', format });
    const error = new Error('GET /ws?room=a&token=hush1 with Bearer hush2 failed');
    const headers = { authorization: 'hush3', host: 'seen-host' };
    log.error(
      { error, headers, token: 'hush4', url: 'redis://:hush5@seen-redis:1' },
      'refused access_token=1?token=hush6',
    );
    const text = lines.join('');
    expect(text).not.toContain('hush');
    expect(text).toContain('seen-host');
    expect(text).toContain('seen-redis');
    expect(text).toContain('room=a');
  });

  it('tells of an error with its stack', () => {
    const { log, lines } = collect({ level: 'info', format: 'json' });
    log.error({ error: new TypeError('odd') }, 'a handler failed');
    expect(JSON.parse(lines.join('')).error).toMatchObject({ type: 'TypeError', message: 'odd' });
  });

  it('may be silent', () => {
    const { log, lines } = collect({ level: 'silent', format: 'json' });
    log.error({}, 'unheard');
    expect(lines).toEqual([]);
    expect(silentLog.error({}, 'unheard')).toBeUndefined();
  });
});
