import { type TokenAuthenticator, tokenAuthenticator } from '../auth/authenticator.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';

/** Null if no authentication is configured. Logs once who is admitted without a token. */
export function createAuthenticator(config: Config, log: Logger): TokenAuthenticator | null {
  const authenticator = tokenAuthenticator(config.auth, { clock: systemClock, log });
  // Not awaited: a node whose key server is down starts, and answers `unavailable` until it is back.
  void authenticator?.prepare();
  if (authenticator === null) {
    log.warn({}, 'no authentication is configured: anyone who reaches this node may join and publish');
  } else if (config.auth.anonymous) {
    log.info({}, 'connections without a token are admitted as anonymous (auth.anonymous)');
  }
  return authenticator;
}
