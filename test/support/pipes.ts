/** Standard input and output of a command that runs in the process of a test. */
import { Readable } from 'node:stream';
import type { Pipes } from '../../src/cli/pipes.ts';

/** No input, and nothing written. */
export const NO_PIPES: Pipes = pipes([]);

/** `input`: text or bytes. What is written goes to `write`. */
export function pipes(
  input: Iterable<string | Uint8Array>,
  write: (text: string) => void = (text) => {
    throw new Error(`nothing was to be written: ${text}`);
  },
): Pipes {
  return {
    stdin: Readable.from(Array.from(input, (chunk) => Buffer.from(chunk as string))),
    stdinTerminal: false,
    write: async (text) => {
      write(text);
      return true;
    },
  };
}
