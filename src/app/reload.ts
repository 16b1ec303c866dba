/** Takes settings that were read again: those that a running node can replace. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { needingRestart } from '../config/reload.ts';
import type { LogFields, Logger } from '../util/log.ts';
import { metricsKeysOf } from './http-access.ts';
import type { NodeParts } from './node-parts.ts';

/** A part of the node that takes its settings again. */
export interface Reloadable {
  /** What the log calls it. */
  readonly part: string;
  /**
   * Takes its settings, and tells what the log says of them; null if there is nothing to take. Throws, with a sentence,
   * and keeps what it had if it cannot use them.
   */
  take(config: Config): LogFields | null;
}

export class Reload {
  readonly #reloadables: readonly Reloadable[];
  readonly #started: Config;
  readonly #isEnding: () => boolean;
  readonly #log: Logger;

  /**
   * `started`: what the node runs with; it keeps of that what no reload replaces. `isEnding`: it shuts down, and its parts
   * may be closed.
   */
  constructor(reloadables: readonly Reloadable[], started: Config, isEnding: () => boolean, log: Logger) {
    this.#reloadables = reloadables;
    this.#started = started;
    this.#isEnding = isEnding;
    this.#log = log;
  }

  /** Logs what was taken, what could not be used, and what needs a restart. Returns whether all of it is in use. */
  run(config: Config): boolean {
    if (this.#isEnding()) {
      this.#log.warn({}, 'not reloaded: the node is shutting down');
      return false;
    }
    const results = this.#reloadables.map((reloadable) => this.#take(reloadable, config));
    const settings = needingRestart(this.#started, config);
    if (settings.length > 0) this.#log.warn({ settings }, 'these settings changed and need a restart');
    return results.every(Boolean) && settings.length === 0;
  }

  #take({ part, take }: Reloadable, config: Config): boolean {
    try {
      const fields = take(config);
      if (fields !== null) this.#log.info({ part, ...fields }, 'reloaded');
      return true;
    } catch (error) {
      this.#log.error({ part, error }, 'not reloaded: the node keeps what it had');
      return false;
    }
  }
}

export function reloadables(parts: NodeParts): readonly Reloadable[] {
  const { server, metricsServer, access, redisTls, tokens } = parts;
  return [
    {
      part: 'certificate',
      take: ({ tls }) => {
        if ((tls !== null) !== server.isSecure) throw new Error('TLS is turned on and off by a restart');
        if (tls === null) return null;
        // First: what fails must fail before anything is replaced.
        const facts = certificateFacts(tls.certFile);
        server.replaceTls(tls);
        metricsServer?.replaceTls(tls);
        return facts;
      },
    },
    { part: 'redis certificates', take: ({ redis }) => redisTls?.take(redis.tls) ?? null },
    {
      part: 'token keys',
      take: ({ auth }) => {
        if (tokens !== null) {
          tokens.reload(auth);
          return { issuer: auth.issuer, audience: auth.audience };
        }
        if ((auth.secret ?? auth.publicKeyFile ?? auth.jwksUrl) === null) return null;
        throw new Error('authentication is turned on by a restart');
      },
    },
    {
      part: 'API keys',
      take: ({ apiKeys }) => {
        access.apiGuard.replaceKeys(apiKeys);
        return { keys: apiKeys.length, api: access.apiGuard.mode };
      },
    },
    {
      part: 'metrics key',
      take: ({ metrics }) => {
        access.metricsKeys.replace(metricsKeysOf(metrics.key));
        return { required: metrics.key !== null };
      },
    },
  ];
}

/** For people who look for a certificate that should have been renewed. */
function certificateFacts(file: string): LogFields {
  const { subject, validTo, fingerprint256 } = new X509Certificate(readFileSync(file));
  return { subject, validTo, fingerprint256 };
}
