/** Which servers require no password although one is given, as the links find out, and a line in the log for each. */
import type { Logger } from '../../../util/log.ts';

export class LoginWatch {
  readonly #log: Logger;
  readonly #open = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** After each login. `setting`: what gives the password. */
  loggedIn(address: string, isNeedless: boolean, setting: string): void {
    if (!isNeedless) return void this.#open.delete(address);
    if (this.#open.has(address)) return;
    this.#open.add(address);
    this.#log.warn(
      { address, setting },
      `${setting} gives a password, but this server requires none: set one there (requirepass), or take it out of ${setting}`,
    );
  }
}
