/** What compiled scripts call: the operators of Lua 5.1. */
import { LuaError, numberText, Table, toNumber, typeName, type Value } from './values.ts';

export { isTrue, LuaError, Table } from './values.ts';

function operand(value: Value): number {
  const number = toNumber(value);
  if (number === undefined) throw new LuaError(`attempt to perform arithmetic on a ${typeName(value)} value`);
  return number;
}

/** For an operator: a number as it is, a string as the number that it says. */
export function num(value: Value): number {
  return typeof value === 'number' ? value : operand(value);
}

export function mod(a: number, b: number): number {
  return a - Math.floor(a / b) * b;
}

function part(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  throw new LuaError(`attempt to concatenate a ${typeName(value)} value`);
}

export function cat(a: Value, b: Value): string {
  return part(a) + part(b);
}

export function len(value: Value): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof Table) return value.length;
  throw new LuaError(`attempt to get length of a ${typeName(value)} value`);
}

export function less(a: Value, b: Value): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw new LuaError(`attempt to compare ${typeName(a)} with ${typeName(b)}`);
}

export function atMost(a: Value, b: Value): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a <= b;
  if (typeof a === 'string' && typeof b === 'string') return a <= b;
  throw new LuaError(`attempt to compare ${typeName(a)} with ${typeName(b)}`);
}

export function get(table: Value, key: Value): Value {
  if (table instanceof Table) return table.get(key);
  throw new LuaError(`attempt to index a ${typeName(table)} value`);
}

export function set(table: Value, key: Value, value: Value): void {
  if (!(table instanceof Table)) throw new LuaError(`attempt to index a ${typeName(table)} value`);
  table.set(key, value);
}

export function call(called: Value, args: Value[]): Value[] {
  if (typeof called !== 'function') throw new LuaError(`attempt to call a ${typeName(called)} value`);
  return called(...args);
}

/** A constructor whose last item may be a list of results. */
export function list(items: Value[]): Table {
  const table = new Table();
  for (let i = 0; i < items.length; i++) table.set(i + 1, items[i]);
  return table;
}
