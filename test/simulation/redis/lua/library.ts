/** The functions of Lua and Redis that scripts of nodes call: base, string, table, math, struct, cmsgpack. */
import { LuaError, type LuaFunction, numberText, Table, toNumber, typeName, type Value } from './values.ts';

function library(functions: Readonly<Record<string, LuaFunction>>): Table {
  const table = new Table();
  for (const [name, one] of Object.entries(functions)) table.set(name, one);
  return table;
}

function text(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  throw new LuaError(`bad argument (string expected, got ${typeName(value)})`);
}

function number(value: Value): number {
  const found = toNumber(value);
  if (found === undefined) throw new LuaError(`bad argument (number expected, got ${typeName(value)})`);
  return found;
}

function tableOf(value: Value): Table {
  if (value instanceof Table) return value;
  throw new LuaError(`bad argument (table expected, got ${typeName(value)})`);
}

const BASE: Readonly<Record<string, LuaFunction>> = {
  tonumber: (value) => [toNumber(value)],
  tostring: (value) => [tostring(value)],
  type: (value) => [typeName(value)],
  unpack: (table, from = 1, to = undefined) => {
    const { list } = tableOf(table);
    return list.slice(number(from) - 1, to === undefined ? list.length : number(to));
  },
  error: (value) => {
    throw new LuaError(value);
  },
  pcall: (called, ...args) => {
    try {
      return [true, ...(called as LuaFunction)(...args)];
    } catch (error) {
      if (error instanceof LuaError) return [false, error.value];
      throw error;
    }
  },
};

function tostring(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  if (value instanceof Table) return 'table: 0x0';
  return value === undefined ? 'nil' : String(value);
}

// ---- string ------------------------------------------------------------------------------------------------

const patterns = new Map<string, RegExp>();
const CLASSES: Readonly<Record<string, string>> = { d: '\\d', a: '[A-Za-z]', w: '[A-Za-z0-9]', s: '\\s' };

/** Lua's patterns as regular expressions, as far as scripts use them. */
function patternOf(pattern: string): RegExp {
  let found = patterns.get(pattern);
  if (found !== undefined) return found;
  const source = pattern.replace(/%(.)/g, (_, letter: string) => CLASSES[letter] ?? `\\${letter}`);
  found = new RegExp(source, 's');
  patterns.set(pattern, found);
  return found;
}

function format(pattern: Value, ...args: Value[]): Value[] {
  let next = 0;
  const filled = text(pattern).replace(
    /%(0?)(\d*)([%ds])/g,
    (_, zero: string, width: string, kind: string) => {
      if (kind === '%') return '%';
      const value = args[next++];
      const shown = kind === 's' ? tostring(value) : String(BigInt(Math.trunc(number(value))));
      return shown.padStart(Number(width), zero === '0' ? '0' : ' ');
    },
  );
  return [filled];
}

const STRING = library({
  sub: (value, from, to = -1) => {
    const string = text(value);
    const [first, last] = [number(from), number(to)];
    const start = first < 0 ? Math.max(0, string.length + first) : Math.max(0, first - 1);
    return [string.slice(start, Math.max(start, last < 0 ? string.length + last + 1 : last))];
  },
  rep: (value, times) => [text(value).repeat(Math.max(0, number(times)))],
  format,
  match: (value, pattern) => {
    const found = patternOf(text(pattern)).exec(text(value));
    if (found === null) return [undefined];
    return found.length === 1 ? [found[0]] : found.slice(1);
  },
  find: (value, pattern) => {
    const found = patternOf(text(pattern)).exec(text(value));
    return found === null ? [undefined] : [found.index + 1, found.index + found[0].length];
  },
});

const TABLE = library({
  concat: (table) => [tableOf(table).list.map(text).join('')],
  insert: (table, ...args) => {
    const { list } = tableOf(table);
    if (args.length === 1) tableOf(table).set(list.length + 1, args[0]);
    else list.splice(number(args[0]) - 1, 0, args[1]);
    return [];
  },
  sort: (table, isLess) => {
    const before = isLess as LuaFunction;
    tableOf(table).list.sort((a, b) => (before(a, b)[0] === true ? -1 : before(b, a)[0] === true ? 1 : 0));
    return [];
  },
});

const MATH = library({
  floor: (value) => [Math.floor(number(value))],
  max: (...values) => [Math.max(...values.map(number))],
  min: (...values) => [Math.min(...values.map(number))],
});

// ---- struct ------------------------------------------------------------------------------------------------

interface Field {
  readonly kind: 'int' | 'text' | 'skip';
  readonly bytes: number;
}

const layouts = new Map<string, readonly Field[]>();

/** Big-endian and unsigned, as all that nodes pack. */
function layoutOf(pattern: string): readonly Field[] {
  let fields = layouts.get(pattern);
  if (fields !== undefined) return fields;
  if (!pattern.startsWith('>')) throw new Error(`struct: only big-endian, got ${pattern}`);
  fields = [...pattern.slice(1).matchAll(/([BIcx])(\d*)/g)].map(([, letter, size]): Field => {
    if (letter === 'c') return { kind: 'text', bytes: Number(size) };
    if (letter === 'x') return { kind: 'skip', bytes: 1 };
    return { kind: 'int', bytes: letter === 'B' ? 1 : Number(size || 4) };
  });
  layouts.set(pattern, fields);
  return fields;
}

function bytesOfInt(value: number, bytes: number): string {
  let left = value < 0 ? value + 2 ** (8 * bytes) : Math.trunc(value);
  let packed = '';
  for (let i = 0; i < bytes; i++) {
    packed = String.fromCharCode(left % 256) + packed;
    left = Math.floor(left / 256);
  }
  return packed;
}

function intOfBytes(string: string, at: number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + string.charCodeAt(at + i);
  return value;
}

const STRUCT = library({
  pack: (pattern, ...args) => {
    let packed = '';
    let next = 0;
    for (const { kind, bytes } of layoutOf(text(pattern))) {
      if (kind === 'skip') packed += '\0';
      else if (kind === 'int') packed += bytesOfInt(number(args[next++]), bytes);
      else {
        const string = text(args[next++]);
        if (string.length < bytes) throw new LuaError("bad argument to 'pack' (string too short)");
        packed += string.slice(0, bytes);
      }
    }
    return [packed];
  },
  unpack: (pattern, value, from = 1) => {
    const string = text(value);
    const found: Value[] = [];
    let at = number(from) - 1;
    for (const { kind, bytes } of layoutOf(text(pattern))) {
      if (at + bytes > string.length)
        throw new LuaError("bad argument #2 to 'unpack' (data string too short)");
      if (kind === 'int') found.push(intOfBytes(string, at, bytes));
      else if (kind === 'text') found.push(string.slice(at, at + bytes));
      at += bytes;
    }
    found.push(at + 1);
    return found;
  },
});

// ---- cmsgpack ----------------------------------------------------------------------------------------------

/** Of a string, as `cmsgpack.pack` makes it. */
function packedText(string: string): string {
  const { length } = string;
  if (length < 32) return String.fromCharCode(0xa0 | length) + string;
  if (length < 256) return `\xd9${String.fromCharCode(length)}${string}`;
  return `\xda${bytesOfInt(length, 2)}${string}`;
}

/** The string or nil at the start of a packed value; anything else is no user. */
function unpackedText(packed: string): Value {
  const head = packed.charCodeAt(0);
  if (head >= 0xa0 && head < 0xc0) return packed.slice(1, 1 + (head & 31));
  if (head === 0xd9) return packed.slice(2, 2 + packed.charCodeAt(1));
  if (head === 0xda) return packed.slice(3, 3 + intOfBytes(packed, 1, 2));
  if (head === 0xc0) return undefined;
  throw new Error(`cmsgpack: a user that starts with byte ${head}`);
}

const CMSGPACK = library({
  pack: (value) => [packedText(text(value))],
  /** One value from an offset on: users are the first element of an array, after its one byte of header. */
  unpack_limit: (packed, limit, from) => {
    if (limit !== 1) throw new Error('cmsgpack: only one value');
    return [-1, unpackedText(text(packed).slice(number(from)))];
  },
});

/** All of it, without `redis`, `KEYS` and `ARGV`. */
export const LIBRARY: Readonly<Record<string, Value>> = {
  ...BASE,
  string: STRING,
  table: TABLE,
  math: MATH,
  struct: STRUCT,
  cmsgpack: CMSGPACK,
};
