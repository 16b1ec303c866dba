/** What `pub` publishes: the argument, or standard input as lines or as a whole. */
import { createHash } from 'node:crypto';
import type { Pipes } from '../pipes.ts';
import { UsageError } from '../usage-error.ts';

export interface Piece {
  /** From 1; null where there is only one message. */
  readonly line: number | null;
  readonly data: unknown;
  /** Of the text. */
  readonly bytes: number;
  /** Idempotency key. Undefined: a random one. */
  readonly key?: string;
}

export interface InputOptions {
  readonly whole?: boolean;
  readonly json?: boolean;
  readonly binary?: boolean;
  readonly key?: string;
  readonly keyFrom?: 'line';
}

/** Of a line, or of the whole. Nodes refuse messages long before this; it bounds the memory of what never ends. */
const MAX_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `argument`: undefined or `-` for standard input. Throws, with a sentence, where the input is not what the options say. */
export async function* piecesOf(
  argument: string | undefined,
  { stdin }: Pipes,
  options: InputOptions,
): AsyncGenerator<Piece> {
  if (argument !== undefined && argument !== '-') {
    yield pieceOf(Buffer.from(argument), null, options);
  } else if (options.whole) {
    yield pieceOf(await wholeOf(stdin), null, options);
  } else {
    let line = 0;
    for await (const bytes of linesOf(stdin)) {
      line++;
      // As JSON it would be nothing at all.
      if (options.json && isBlank(bytes)) continue;
      yield pieceOf(bytes, line, options);
    }
  }
}

/** Each line without its `\n`; everything else is kept as it is. The last one needs no line end. */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  maxBytes = MAX_BYTES,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const part = chunk.subarray(from, end);
      yield length === 0 ? part : Buffer.concat([...rest, part]);
      [rest, length, from] = [[], 0, end + 1];
    }
    if (from === chunk.length) continue;
    rest.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > maxBytes) throw new Error(`a line of the input is longer than ${maxBytes} bytes`);
  }
  if (length > 0) yield Buffer.concat(rest);
}

async function wholeOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_BYTES) throw new Error(`the input is longer than ${MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks);
}

function pieceOf(bytes: Uint8Array, line: number | null, options: InputOptions): Piece {
  const key = options.keyFrom === 'line' ? keyOf(bytes, line ?? 1) : options.key;
  return {
    line,
    data: dataOf(bytes, line, options),
    bytes: bytes.length,
    ...(key !== undefined && { key }),
  };
}

function dataOf(bytes: Uint8Array, line: number | null, { json, binary }: InputOptions): unknown {
  if (binary) return Uint8Array.from(bytes);
  const what = line === null ? 'the message' : `line ${line}`;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Error(`${what} is not UTF-8; --binary publishes bytes as they are`);
  }
  if (!json) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    const says = `${what} is not JSON: ${(error as Error).message}`;
    throw line === null ? new UsageError(says) : new Error(says);
  }
}

/** The same for the same input: number and text of the line, so that equal lines stay different messages. */
export function keyOf(bytes: Uint8Array, line: number): string {
  return createHash('sha256').update(`${line}\n`).update(bytes).digest('base64url');
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
