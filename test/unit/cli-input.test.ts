import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type InputOptions, keyOf, linesOf, type Piece, piecesOf } from '../../src/cli/rooms/input.ts';
import { pipes } from '../support/pipes.ts';

async function lines(chunks: readonly Uint8Array[], maxBytes?: number): Promise<string[]> {
  const found: string[] = [];
  for await (const line of linesOf(pipes(chunks).stdin, maxBytes))
    found.push(Buffer.from(line).toString('latin1'));
  return found;
}

async function pieces(
  argument: string | undefined,
  input: string | Uint8Array,
  options: InputOptions,
): Promise<Piece[]> {
  const found: Piece[] = [];
  for await (const piece of piecesOf(argument, pipes([input]), options)) found.push(piece);
  return found;
}

async function data(input: string | Uint8Array, options: InputOptions = {}): Promise<unknown[]> {
  return (await pieces('-', input, options)).map((piece) => piece.data);
}

describe('lines of the input', () => {
  it('are the same however the input is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...[...'a\n\r\0', 'ÿ', 'ab']), { maxLength: 30 }),
        fc.array(fc.nat(30), { maxLength: 5 }),
        async (parts, cuts) => {
          const whole = Buffer.from(parts.join(''), 'latin1');
          const at = [
            0,
            ...cuts.map((cut) => cut % (whole.length + 1)).sort((one, other) => one - other),
            whole.length,
          ];
          const chunks = at.slice(1).map((end, i) => whole.subarray(at[i], end));
          const expected = whole.toString('latin1').split('\n');
          // A line end ends a line; it does not begin another one.
          if (expected.at(-1) === '') expected.pop();
          expect(await lines(chunks)).toEqual(expected);
        },
      ),
    );
  });

  it('have a limit, so that input without line ends does not fill the memory', async () => {
    await expect(lines([Buffer.alloc(60, 'x'), Buffer.alloc(60, 'x')], 100)).rejects.toThrow(
      'longer than 100 bytes',
    );
  });
});

describe('what is published', () => {
  it('is the argument, or each line, or the whole', async () => {
    expect(await pieces('hello', 'unread', {})).toMatchObject([{ line: null, data: 'hello', bytes: 5 }]);
    expect(await pieces(undefined, 'a\nb', {})).toMatchObject([
      { line: 1, data: 'a' },
      { line: 2, data: 'b' },
    ]);
    expect(await data('a\nb\n', { whole: true })).toEqual(['a\nb\n']);
    expect(await data('', {})).toEqual([]);
    expect(await data('', { whole: true })).toEqual(['']);
  });

  it('is text as it stands: an empty line, a byte order mark and a carriage return stay', async () => {
    expect(await data('\ufeffa\r\n\n b ')).toEqual(['\ufeffa\r', '', ' b ']);
  });

  it('is bytes with --binary', async () => {
    expect(await data(Uint8Array.of(255, 10, 0), { binary: true })).toEqual([
      Uint8Array.of(255),
      Uint8Array.of(0),
    ]);
  });

  it('is JSON with --json, where blank lines are nothing, and counted', async () => {
    expect(await data('1\n\n \t\r\n{"a":null}\r\n', { json: true })).toEqual([1, { a: null }]);
    await expect(data('1\n\n{', { json: true })).rejects.toThrow(/^line 3 is not JSON: /);
    await expect(pieces('{', '', { json: true })).rejects.toThrow(/^the message is not JSON: /);
  });

  it('is refused where it is not UTF-8', async () => {
    await expect(data(Uint8Array.of(97, 10, 0xc3, 10))).rejects.toThrow(
      'line 2 is not UTF-8; --binary publishes bytes as they are',
    );
  });

  it('has a key that number and text of its line decide', async () => {
    const keys = async (input: string) =>
      (await pieces('-', input, { keyFrom: 'line' })).map(({ key }) => key!);
    const first = await keys('tick\ntick\ntock\n');
    expect(await keys('tick\ntick\ntock')).toEqual(first);
    expect(new Set(first).size).toBe(3);
    expect((await keys('tick\ntack\ntock'))[1]).not.toBe(first[1]);
    expect(first.every((key) => /^[\w-]{43}$/.test(key))).toBe(true);
    expect(keyOf(Buffer.from('1\n'), 1)).not.toBe(keyOf(Buffer.from(''), 1));
    expect(await pieces('x', '', { key: 'mine' })).toMatchObject([{ key: 'mine' }]);
  });
});
