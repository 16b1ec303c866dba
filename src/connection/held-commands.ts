import type { CommandReader, DecodedCommand } from '../protocol/frames.ts';

/** More read commands than this are worth removing. */
const MIN_READ = 256;

/**
 * Commands that wait, in order, while a token is being checked, or behind a join that waits for its turn. They
 * outlive the buffer that they arrived in.
 */
export class HeldCommands implements CommandReader {
  /** They wait behind a join. */
  isBehindJoin: boolean;
  #commands: DecodedCommand[] = [];
  #at = 0;
  /** Bytes of payloads and tokens that wait: the parts that a peer can make large. */
  bytes = 0;

  constructor(isBehindJoin = false) {
    this.isBehindJoin = isBehindJoin;
  }

  /** How many wait. */
  get length(): number {
    return this.#commands.length - this.#at;
  }

  add(command: DecodedCommand): void {
    this.bytes += bytesOf(command);
    if ('data' in command && command.data !== null) {
      // Copied explicitly: the `slice` of a Buffer does not copy.
      this.#commands.push({ ...command, data: new Uint8Array(command.data) });
    } else this.#commands.push(command);
  }

  next(): DecodedCommand | null {
    const command = this.#commands[this.#at] ?? null;
    if (command === null) return null;
    this.bytes -= bytesOf(command);
    this.#at++;
    if (this.#at >= MIN_READ && 2 * this.#at >= this.#commands.length) {
      this.#commands = this.#commands.slice(this.#at);
      this.#at = 0;
    }
    return command;
  }
}

function bytesOf(command: DecodedCommand): number {
  if ('data' in command && command.data !== null) return command.data.length;
  return command.type === 'auth' ? command.token.length : 0;
}
