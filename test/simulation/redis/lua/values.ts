/**
 * Values of Lua 5.1 as JavaScript has them: nil is undefined, numbers are doubles in both, a string has one character for each
 * byte, and a function returns the list of its results.
 */
export type LuaFunction = (...args: Value[]) => Value[];
export type Value = undefined | boolean | number | string | Table | LuaFunction;

/** What `error` throws, and what a script ends with. */
export class LuaError extends Error {
  readonly value: Value;

  constructor(value: Value) {
    super(textOf(value));
    this.value = value;
  }
}

function textOf(value: Value): string {
  const field = value instanceof Table ? value.get('err') : value;
  return String(field);
}

/** A table: what stands at 1, 2, 3 … is a list, all else a map. */
export class Table {
  readonly list: Value[];
  #rest: Map<Value, Value> | null = null;

  constructor(list: Value[] = []) {
    this.list = list;
  }

  get(key: Value): Value {
    if (typeof key === 'number' && key >= 1 && key <= this.list.length) return this.list[key - 1];
    return this.#rest?.get(key);
  }

  set(key: Value, value: Value): void {
    const { list } = this;
    if (typeof key === 'number' && key >= 1 && key <= list.length) {
      list[key - 1] = value;
      if (value === undefined) while (list.length > 0 && list.at(-1) === undefined) list.pop();
    } else if (key === list.length + 1 && value !== undefined) {
      list.push(value);
      this.#moveUp();
    } else if (value === undefined) this.#rest?.delete(key);
    else {
      if (key === undefined) throw new LuaError('table index is nil');
      this.#rest ??= new Map();
      this.#rest.set(key, value);
    }
  }

  get length(): number {
    return this.list.length;
  }

  /** What came before its place in the list was there. */
  #moveUp(): void {
    if (this.#rest === null) return;
    for (let next = this.list.length + 1; this.#rest.has(next); next++) {
      this.list.push(this.#rest.get(next));
      this.#rest.delete(next);
    }
  }
}

export function isTrue(value: Value): boolean {
  return value !== undefined && value !== false;
}

export function typeName(value: Value): string {
  if (value === undefined) return 'nil';
  return value instanceof Table ? 'table' : typeof value;
}

/** As `tonumber`: undefined where it is none. */
export function toNumber(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || !/^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$/.test(value))
    return undefined;
  return Number(value);
}

/** `%.14g`, as Lua shows numbers. */
export function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e14) return String(value === 0 ? 0 : value);
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  if (Number.isNaN(value)) return 'nan';
  const [digits = '', exponent = '0'] = value.toExponential(13).split('e');
  const power = Number(exponent);
  const shown = digits.replace(/\.?0+$/, '');
  if (power < -4 || power >= 14) {
    return `${shown}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  return String(Number(value.toPrecision(14)));
}
