import { isFull } from '../../backplane/redis/link/redis-errors.ts';
import { certificateHint, tlsHint } from '../../backplane/redis/start/certificate-hint.ts';
import { type RedisFacts, WrongServer } from '../../backplane/redis/start/inspect.ts';
import type { Config } from '../../config/config.ts';
import { codeOrMessage } from '../../util/error-words.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { duration } from './units.ts';

const ABOUT = 'redis link';
const SLOW_MS = 20;
const LOCAL = /^(localhost|127\.[\d.]+|\[::1\])$/;

/**
 * The link to Redis: its latency, and who can listen. `from` of an IP network within a host needs no
 * encryption.
 */
export function checkRedisLink({ redis }: Config, facts: RedisFacts): Finding[] {
  const { protocol, hostname, host, password } = new URL(redis.url!);
  const findings = [roundTrip(host, facts.roundTripMs)];
  const isLocal = LOCAL.test(hostname);
  if (protocol === 'rediss:' && !redis.tls.rejectUnauthorized) {
    findings.push(
      warning(
        ABOUT,
        'the certificate of Redis is not checked: an attacker in between can read and change everything',
        'set redis.tls.caFile to its authority and leave redis.tls.rejectUnauthorized on',
      ),
    );
  }
  if (protocol === 'redis:' && password === '' && !isLocal) {
    findings.push(
      warning(
        ABOUT,
        'Redis requires no password: anyone who reaches it can read and write every room',
        'set requirepass or an ACL user, or keep Redis on a network of only the nodes',
      ),
    );
  }
  if (facts.ignoresPassword) {
    findings.push(
      warning(
        ABOUT,
        'redis.url gives a password, but Redis requires none: anyone who reaches it can read and write every room',
        'set requirepass or an ACL user there, or take the password out of redis.url',
      ),
    );
  }
  if (protocol === 'redis:' && !isLocal) {
    findings.push(ok(ABOUT, 'the link is not encrypted', 'use rediss:// if others share the network'));
  }
  return findings;
}

/** `isNamed`: by `redis.url`, and not only by other servers. */
export function redisUnreachable(url: string, error: Error, isNamed = true): Finding {
  const { host, protocol } = new URL(url);
  const { message } = error;
  if (error instanceof WrongServer) return problem('redis server', message, 'a node cannot use it');
  if (isFull(message)) {
    return problem(
      ABOUT,
      `${host} has no free connection: ${message}`,
      'raise maxclients, or disconnect other clients',
    );
  }
  if (/WRONGPASS|NOAUTH/.test(message)) {
    return problem(
      ABOUT,
      `cannot log in to ${host}: ${codeOrMessage(error)}`,
      'check the user and password in redis.url',
    );
  }
  if (/NOPERM/.test(message)) {
    return problem(
      ABOUT,
      `${host} does not permit this user the checks: ${message}`,
      'grant +info and +time, which nodes need too; deploy/README.md has the full ACL for a separate user',
    );
  }
  const isSecure = protocol === 'rediss:';
  const certificate = isSecure ? certificateHint(error) : null;
  const right = isNamed
    ? 'that redis.url is right'
    : 'that this machine reaches the address that it announces';
  const tls = tlsHint(error, isSecure);
  const advice = `check that it runs, ${right}, ${tls === null ? '' : `${tls}, `}and that no firewall blocks the port`;
  return problem(ABOUT, `cannot reach ${host}: ${codeOrMessage(error)}`, certificate ?? advice);
}

function roundTrip(host: string, roundTripMs: number): Finding {
  const says = `${host} answers within ${duration(Math.max(1, roundTripMs))}`;
  if (roundTripMs < SLOW_MS) return ok(ABOUT, says);
  return warning(
    ABOUT,
    says,
    'run Redis close to the nodes: every publish waits for this, and every delivery is delayed by it',
  );
}
