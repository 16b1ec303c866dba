/** Which Sentinels answer, as the links find out, and a line in the log for each change. */
import { codeOrMessage } from '../../../util/error-words.ts';
import type { Logger } from '../../../util/log.ts';

export class SentinelWatch {
  readonly #log: Logger;
  readonly #silent = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  answered(address: string): void {
    if (this.#silent.delete(address)) this.#log.info({ address }, 'sentinel answers again');
  }

  /** Every link tries again and again: only the first failure is told. */
  failed(address: string, error: Error): void {
    if (this.#silent.has(address)) return;
    this.#silent.add(address);
    this.#log.warn({ address, cause: codeOrMessage(error) }, 'sentinel does not answer');
  }
}
