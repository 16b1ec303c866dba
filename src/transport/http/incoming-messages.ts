/**
 * Reads the messages in a request body, in either encoding. A problem in one message is reported for that
 * message alone.
 */
import { isUtf8 } from 'node:buffer';
import { FrameError } from '../../protocol/frame-error.ts';
import type { PackedValue } from '../../protocol/frames.ts';
import { MAX_DEPTH } from '../../protocol/limits.ts';
import { arrayCount, elementsAt, mapCount, readScalar } from '../../protocol/msgpack/reader.ts';
import { scanProblem, scanValue, skipValue } from '../../protocol/msgpack/scanner.ts';
import { DATA_LEVELS, packValue, unpackAll } from '../../protocol/msgpack/values.ts';
import { PackError } from '../../protocol/msgpack/writer.ts';
import type { BodyFormat } from './media-types.ts';

/** A message as it arrived: its fields may be anything. */
interface IncomingMessage {
  readonly room: unknown;
  readonly key: unknown;
  readonly ephemeral: unknown;
  readonly conflateKey: unknown;
  /** The payload; undefined if there is none. */
  readonly data: PackedValue | undefined;
}

/** Starts with what follows the name of the faulty part: ` is not ...`, `: data is ...`. */
export interface Problem {
  readonly problem: string;
}

/** A message, or what is wrong with it. */
export type Incoming = IncomingMessage | Problem;

/** A whole body as one message. */
export function readMessage(body: Buffer, format: BodyFormat): Incoming {
  if (format === 'msgpack') {
    const problem = msgpackProblem(body);
    return problem ?? msgpackMessage(body, 0);
  }
  const parsed = parseJson(body);
  return 'problem' in parsed ? parsed : jsonMessage(parsed.value);
}

/** The list `messages` of a body, or what is wrong with the whole body. */
export function readMessages(body: Buffer, format: BodyFormat): readonly Incoming[] | Problem {
  if (format === 'msgpack') return msgpackProblem(body) ?? msgpackList(body) ?? NO_LIST;
  const parsed = parseJson(body);
  if ('problem' in parsed) return parsed;
  const list = isRecord(parsed.value) ? parsed.value.messages : undefined;
  return Array.isArray(list) ? list.map(jsonMessage) : NO_LIST;
}

/** A body that is an object, with its fields. Not for messages: their data stays bytes. */
export function readObject(
  body: Buffer,
  format: BodyFormat,
): { readonly fields: Readonly<Record<string, unknown>> } | Problem {
  const parsed = format === 'msgpack' ? unpacked(body) : parseJson(body);
  if ('problem' in parsed) return parsed;
  return isRecord(parsed.value) ? { fields: parsed.value } : { problem: ' is not an object' };
}

function unpacked(body: Buffer): { readonly value: unknown } | Problem {
  const problem = msgpackProblem(body);
  if (problem !== null) return problem;
  try {
    return { value: unpackAll(body, MAX_DEPTH)[0] };
  } catch (error) {
    if (error instanceof FrameError) return { problem: `: ${error.message}` };
    throw error;
  }
}

const NO_LIST: Problem = { problem: ': messages is not a list' };
const NO_OBJECT: Problem = { problem: ' is not an object with room and data' };

function parseJson(body: Buffer): { readonly value: unknown } | Problem {
  // `toString` would replace what is not UTF-8 with U+FFFD, and store something other than what was sent.
  if (!isUtf8(body)) return { problem: ' is not valid UTF-8' };
  const hasMark = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
  const text = hasMark ? body.toString('utf8', 3) : body.toString();
  try {
    return { value: JSON.parse(text) };
  } catch (cause) {
    return { problem: ` is not JSON: ${cause instanceof Error ? cause.message : ''}` };
  }
}

function jsonMessage(value: unknown): Incoming {
  if (!isRecord(value)) return NO_OBJECT;
  const { room, key, ephemeral, conflateKey, data } = value;
  const fields = { room, key, ephemeral, conflateKey };
  if (data === undefined) return { ...fields, data };
  try {
    return { ...fields, data: packValue(data) };
  } catch (error) {
    if (error instanceof PackError) return { problem: `: data cannot be sent: ${error.message}` };
    throw error;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null if the bytes are exactly one value, of any type. */
function msgpackProblem(bytes: Uint8Array): Problem | null {
  const end = skipValue(bytes, 0, bytes.length);
  if (end < 0) return { problem: ` is not MessagePack: ${scanProblem(end)}` };
  return end === bytes.length ? null : { problem: ' is more than one MessagePack value' };
}

/** The payload stays the bytes that arrived. */
function msgpackMessage(bytes: Uint8Array, at: number): Incoming {
  const fields = msgpackFields(bytes, at);
  if (fields === null || 'problem' in fields) return fields ?? NO_OBJECT;
  const fieldOf = (name: string) => scalarAt(bytes, fields.get(name));
  const message = {
    room: fieldOf('room'),
    key: fieldOf('key'),
    ephemeral: fieldOf('ephemeral'),
    conflateKey: fieldOf('conflateKey'),
  };
  const dataAt = fields.get('data');
  if (dataAt === undefined) return { ...message, data: undefined };
  const end = scanValue(bytes, dataAt, bytes.length, DATA_LEVELS);
  if (end < 0) return { problem: `: data cannot be sent: ${scanProblem(end)}` };
  return { ...message, data: bytes.subarray(dataAt, end) };
}

/** The messages of a body; null if there is no such list. */
function msgpackList(bytes: Uint8Array): Incoming[] | null {
  const fields = msgpackFields(bytes, 0);
  if (fields === null || 'problem' in fields) return null;
  const listAt = fields.get('messages');
  const count = listAt === undefined ? -1 : arrayCount(bytes, listAt, bytes.length);
  if (listAt === undefined || count < 0) return null;
  const messages: Incoming[] = [];
  let next = elementsAt(bytes, listAt);
  for (let i = 0; i < count; i++) {
    messages.push(msgpackMessage(bytes, next));
    next = skipValue(bytes, next, bytes.length);
  }
  return messages;
}

/** Where the values of the map at `at` start, by key; null if there is no map. */
function msgpackFields(bytes: Uint8Array, at: number): ReadonlyMap<string, number> | Problem | null {
  const count = mapCount(bytes, at);
  if (count < 0) return null;
  const fields = new Map<string, number>();
  let next = elementsAt(bytes, at);
  for (let i = 0; i < count; i++) {
    const valueAt = scanValue(bytes, next, bytes.length, 0);
    const name = valueAt < 0 ? undefined : readScalar(bytes, next);
    if (typeof name !== 'string') return { problem: ' has a key that is not a string in UTF-8' };
    fields.set(name, valueAt);
    next = skipValue(bytes, valueAt, bytes.length);
  }
  return fields;
}

/** A string, number, boolean or null; undefined if nothing was given; another value for any other type. */
function scalarAt(bytes: Uint8Array, at: number | undefined): unknown {
  if (at === undefined) return undefined;
  const isGood = scanValue(bytes, at, bytes.length, MAX_DEPTH) >= 0;
  return (isGood ? readScalar(bytes, at) : undefined) ?? (bytes[at] === 0xc0 ? null : []);
}
