import type { CommandReader, DecodedCommand } from '../protocol/frames.ts';

/** Commands that wait, in order, while a token is being checked. They outlive the buffer that they came in. */
export class HeldCommands implements CommandReader {
  readonly #commands: DecodedCommand[] = [];
  #at = 0;
  /** Of payloads and tokens: what a peer can make large. */
  bytes = 0;

  get length(): number {
    return this.#commands.length;
  }

  add(command: DecodedCommand): void {
    if (command.type === 'publish') {
      this.bytes += command.data.length;
      // A copy whatever the kind of array: the `slice` of a Buffer is none.
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
