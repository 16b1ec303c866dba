import type { CommandReader, DecodedCommand } from '../protocol/frames.ts';

/**
 * Commands that wait, in order, while a token is being checked. They outlive the buffer that they arrived in.
 */
export class HeldCommands implements CommandReader {
  readonly #commands: DecodedCommand[] = [];
  #at = 0;
  /** Bytes of payloads and tokens: the parts that a peer can make large. */
  bytes = 0;

  get length(): number {
    return this.#commands.length;
  }

  add(command: DecodedCommand): void {
    if ('data' in command && command.data !== null) {
      this.bytes += command.data.length;
      // Copied explicitly: the `slice` of a Buffer does not copy.
      this.#commands.push({ ...command, data: new Uint8Array(command.data) });
    } else {
      if (command.type === 'auth') this.bytes += command.token.length;
      this.#commands.push(command);
    }
  }

  next(): DecodedCommand | null {
    return this.#commands[this.#at++] ?? null;
  }
}
