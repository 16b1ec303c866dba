/** Standard input, and standard output with backpressure: for commands that pass on more than a page of text. */

export interface Pipes {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinTerminal: boolean;
  /** Resolves when the text has left this process, in the order of the calls; with false where nobody reads any more. */
  write(text: string): Promise<boolean>;
}

export const processPipes: Pipes = {
  get stdin() {
    return process.stdin;
  },
  get stdinTerminal() {
    return process.stdin.isTTY === true;
  },
  write: (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, (error) => resolve(!error));
    }),
};

/**
 * A reader that went away, as in `roomcast ... | head`, is nothing to complain about; a full disk is. Without a listener both would
 * end the process with a stack trace.
 */
export function tolerateClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    process.stderr.write(`cannot write to standard output: ${error.message}\n`);
    process.exit(1);
  });
  process.stderr.on('error', () => undefined);
}
