import { tokenAuthenticator } from '../auth/authenticator.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { TokenKeys } from './token-keys.ts';

/** Null if no authentication is configured. Logs once who is admitted without a token. */
export function createAuthenticator({ auth }: Config, log: Logger): TokenKeys | null {
  const make = (settings: Config['auth']) => tokenAuthenticator(settings, { clock: systemClock, log });
  const authenticator = make(auth);
  // Not awaited: a node whose key server is down starts, and answers `unavailable` until it is back.
  void authenticator?.prepare?.();
  if (authenticator === null) {
    log.warn({}, 'no authentication is configured: anyone who reaches this node may join and publish');
    return null;
  }
  if (auth.anonymous) {
    log.info({}, 'connections without a token are admitted as anonymous (auth.anonymous)');
  }
  return new TokenKeys(auth, authenticator, make);
}
