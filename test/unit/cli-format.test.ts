import { describe, expect, it } from 'vitest';
import { jsonLine, type Line, templateProblem, textLine } from '../../src/cli/rooms/format.ts';

const LINE: Line = {
  room: 'lobby',
  epoch: 'h8ak4ujy',
  offset: 42,
  time: 1_700_000_000_000,
  sender: 'ann',
  data: { a: 1 },
};

function text(template: string, line: Partial<Line> = {}, safe = false): string {
  return textLine(template, { safe })({ ...LINE, ...line });
}

describe('a format', () => {
  it.each([
    ['%o %t %s %d', '42 2023-11-14T22:13:20.000Z ann {"a":1}\n'],
    ['%r/%e,%o', 'lobby/h8ak4ujy,42\n'],
    ['%T', '1700000000000\n'],
    ['100%% of %%d', '100% of %d\n'],
    ['a\\tb\\nc\\\\d', 'a\tb\nc\\d\n'],
    ['', '\n'],
    ['%d%d', '{"a":1}{"a":1}\n'],
  ])('%s', (template, expected) => {
    expect(text(template)).toBe(expected);
  });

  it('shows strings as they are with %d, and as JSON with %j', () => {
    expect(text('%d|%j', { data: 'say "hi"' })).toBe('say "hi"|"say \\"hi\\""\n');
  });

  it('shows - for what a message does not have', () => {
    expect(text('%e %o %s', { epoch: null, offset: null, sender: null })).toBe('- - -\n');
  });

  it.each(['%x', '100%', '\\q', 'a\\', '%d %🦊'])('refuses %s', (template) => {
    expect(templateProblem(template)).toMatch(/^--format: ".+" is unknown; there are %r room/);
  });

  it('does not let a message command a terminal', () => {
    const data = '\u001b[2J\u009b1m\u0007a\nb\tc\u007f';
    expect(text('%d', { data }, true)).toBe('\\u001b[2J\\u009b1m\\u0007a\\nb\\tc\\u007f\n');
    expect(text('%s %r', { sender: '\u001b]0;x\u0007', room: 'r' }, true)).toBe('\\u001b]0;x\\u0007 r\n');
    // What the template itself says stays.
    expect(text('%s\\t%o', {}, true)).toBe('ann\t42\n');
    expect(text('%d', { data }, false)).toBe(`${data}\n`);
  });
});

describe('a JSON line', () => {
  it('is one line with everything', () => {
    expect(jsonLine({ ...LINE, data: 'two\nlines' })).toBe(
      '{"room":"lobby","epoch":"h8ak4ujy","offset":42,"time":1700000000000,"sender":"ann","data":"two\\nlines"}\n',
    );
  });

  it('has bytes in base64 and dates in ISO 8601, as JSON connections get them', () => {
    const data = {
      bytes: Uint8Array.of(0, 255),
      at: new Date(0),
      never: new Date(Number.NaN),
      nan: Number.NaN,
    };
    expect(JSON.parse(jsonLine({ ...LINE, data })).data).toEqual({
      bytes: 'AP8=',
      at: '1970-01-01T00:00:00.000Z',
      never: null,
      nan: null,
    });
  });
});
