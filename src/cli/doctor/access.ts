import type { Config } from '../../config/config.ts';
import { SCOPES } from '../../config/groups/api-keys.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** Who may connect, from where, and who may use the HTTP API. */
export function checkAccess(config: Config): Finding[] {
  return [mode(config), ...authentication(config), origins(config), ...api(config)];
}

function mode({ production, demo }: Config): Finding {
  const about = 'production';
  if (!production) {
    return warning(
      about,
      'production is off: the demo page and, without a key, the local HTTP API are on',
      'set NODE_ENV=production or ROOMCAST_PRODUCTION=true before users connect',
    );
  }
  if (!demo) return ok(about, 'production is on');
  return warning(about, 'the demo page is served in production', 'remove --demo and ROOMCAST_DEMO');
}

function authentication({ auth, production }: Config): Finding[] {
  const about = 'authentication';
  const { secret, publicKeyFile, jwksUrl, audience, anonymous } = auth;
  if ((secret ?? publicKeyFile ?? jwksUrl) === null) {
    const says = 'anyone may connect, join and publish: no auth setting is set';
    const advice = 'set auth.secret, auth.publicKeyFile or auth.jwksUrl';
    return [production ? problem(about, says, advice) : warning(about, says, advice)];
  }
  const findings = [
    anonymous
      ? ok(about, 'connections without a token are admitted as anonymous: room rules decide what they may do')
      : ok(about, 'clients need a token'),
  ];
  if (jwksUrl?.startsWith('http:') === true) {
    findings.push(
      warning(about, 'the token keys are fetched without encryption', 'use https in auth.jwksUrl'),
    );
  }
  if (jwksUrl !== null && audience === null) {
    findings.push(
      warning(
        about,
        'tokens that the issuer made for other services are accepted too',
        'set auth.audience to the aud of your tokens',
      ),
    );
  }
  return findings;
}

function origins({ allowedOrigins, production }: Config): Finding {
  const about = 'origins';
  if (allowedOrigins.length === 0) {
    const says = 'pages of any website may connect';
    const advice = 'list your own origins in allowedOrigins, such as https://*.example.com';
    return production ? warning(about, says, advice) : ok(about, says, advice);
  }
  const plain = allowedOrigins.filter((origin) => /^http:\/\/(?!localhost\b|127\.)/i.test(origin));
  if (plain.length === 0) return ok(about, `pages of ${allowedOrigins.join(', ')} may connect`);
  return warning(
    about,
    `${plain.join(', ')} may connect: a page without encryption can be altered in transit`,
    'allow their https addresses only',
  );
}

function api({ apiKeys, production, auth }: Config): Finding[] {
  const about = 'http api';
  if (apiKeys.length === 0) {
    const isOff = production || (auth.secret ?? auth.publicKeyFile ?? auth.jwksUrl) !== null;
    const says = isOff ? 'it is off' : 'it answers only requests from the same machine';
    return [ok(about, `${says}: no key is set`, 'set ROOMCAST_API_KEYS to publish from a backend')];
  }
  const full = apiKeys.filter((key) => typeof key === 'string' || isFull(key)).length;
  if (!production || full === 0) return [ok(about, 'it requires a key')];
  return [
    ok(
      about,
      `it requires a key; ${full} of ${apiKeys.length} may do everything in every room`,
      'give each backend a key with the scopes and rooms that it needs: roomcast apikey create',
    ),
  ];
}

function isFull({ scopes, rooms }: Exclude<Config['apiKeys'][number], string>): boolean {
  return rooms === undefined && SCOPES.every((scope) => scopes.includes(scope));
}
