import type { Authenticator } from '../auth/identity.ts';
import type { Config } from '../config/config.ts';
import type { LogFields } from '../util/log.ts';

type AuthSettings = Config['auth'];

/** The node's authenticator, whose keys are replaced while it runs. What is being checked goes on with the old ones. */
export class TokenKeys implements Authenticator {
  readonly #make: (settings: AuthSettings) => Authenticator | null;
  #settings: AuthSettings;
  #current: Authenticator;

  constructor(
    settings: AuthSettings,
    current: Authenticator,
    make: (settings: AuthSettings) => Authenticator | null,
  ) {
    this.#settings = settings;
    this.#current = current;
    this.#make = make;
  }

  authenticate(...presented: Parameters<Authenticator['authenticate']>) {
    return this.#current.authenticate(...presented);
  }

  async prepare(): Promise<void> {
    await this.#current.prepare?.();
  }

  /** Null if nothing changed. Throws, and keeps the keys, if the new ones cannot be used. */
  take(settings: AuthSettings): LogFields | null {
    const isSame = JSON.stringify(settings) === JSON.stringify(this.#settings);
    // A key set looks after itself, and would have to be fetched anew. A file may hold another key.
    if (isSame && settings.publicKeyFile === null) return null;
    const next = this.#make(settings);
    if (next === null) throw new Error('authentication is turned off by a restart');
    void next.prepare?.();
    this.#current = next;
    this.#settings = settings;
    return { issuer: settings.issuer, audience: settings.audience };
  }
}
