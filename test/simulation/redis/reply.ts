/** Replies of Redis, and how they look in RESP2. Strings have one character for each byte. */

/** `+OK` and the like. */
export class Status {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a command is refused with; thrown by commands. The text begins with a code in capitals. */
export class Refusal extends Error {}

export type Reply = Status | Refusal | number | string | null | readonly Reply[];

export const OK = new Status('OK');

export function encodeReply(reply: Reply): Buffer {
  const parts: string[] = [];
  write(reply, parts);
  return Buffer.from(parts.join(''), 'latin1');
}

function write(reply: Reply, parts: string[]): void {
  if (reply === null) parts.push('$-1\r\n');
  else if (typeof reply === 'number') parts.push(`:${reply}\r\n`);
  else if (typeof reply === 'string') parts.push(`$${reply.length}\r\n${reply}\r\n`);
  else if (reply instanceof Status) parts.push(`+${reply.text}\r\n`);
  else if (reply instanceof Refusal) parts.push(`-${reply.message}\r\n`);
  else {
    parts.push(`*${reply.length}\r\n`);
    for (const one of reply) write(one, parts);
  }
}

/** Cuts the bytes of a client into commands: arrays of bulk strings, whatever chunks they come in. */
export class CommandReader {
  #held: Buffer = Buffer.alloc(0);

  /** The commands that are complete now. */
  read(chunk: Buffer): string[][] {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const commands: string[][] = [];
    let at = 0;
    for (;;) {
      const command = readCommand(bytes, at);
      if (command === null) break;
      commands.push(command.words);
      at = command.end;
    }
    this.#held = Buffer.from(bytes.subarray(at));
    return commands;
  }
}

function readCommand(bytes: Buffer, from: number): { words: string[]; end: number } | null {
  const head = readHead(bytes, from, '*');
  if (head === null) return null;
  const words: string[] = [];
  let at = head.end;
  for (let i = 0; i < head.count; i++) {
    const size = readHead(bytes, at, '$');
    if (size === null || size.end + size.count + 2 > bytes.length) return null;
    words.push(bytes.toString('latin1', size.end, size.end + size.count));
    at = size.end + size.count + 2;
  }
  return { words, end: at };
}

function readHead(bytes: Buffer, at: number, kind: string): { count: number; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at, 'latin1');
  if (lineEnd === -1) return null;
  const line = bytes.toString('latin1', at, lineEnd);
  if (!line.startsWith(kind)) throw new Error(`not a command: ${JSON.stringify(line.slice(0, 40))}`);
  return { count: Number(line.slice(1)), end: lineEnd + 2 };
}
