import type { Config } from '../../config/config.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const LEAST_SECRET_BYTES = 32;

/** Who may connect, from where, and who may use the HTTP API. */
export function checkAccess(config: Config): Finding[] {
  return [mode(config), ...authentication(config), origins(config), ...api(config)];
}

function mode({ production, demo }: Config): Finding {
  const about = 'production';
  if (!production) {
    return warning(
      about,
      'production is off: what is open for development is open to everyone',
      'set NODE_ENV=production or ROOMCAST_PRODUCTION=true where users come',
    );
  }
  if (!demo) return ok(about, 'production is on');
  return warning(about, 'the demo page is served in production', 'leave out --demo and ROOMCAST_DEMO');
}

function authentication({ auth, production }: Config): Finding[] {
  const about = 'authentication';
  const { secret, publicKeyFile, jwksUrl, audience, anonymous } = auth;
  if ((secret ?? publicKeyFile ?? jwksUrl) === null) {
    const says = 'anyone may connect, join and publish: no auth setting is given';
    const advice = 'set auth.secret, auth.publicKeyFile or auth.jwksUrl';
    return [production ? problem(about, says, advice) : warning(about, says, advice)];
  }
  const findings = [
    anonymous
      ? ok(about, 'connections without a token are admitted as anonymous: room rules decide what they may do')
      : ok(about, 'tokens are asked for'),
  ];
  if (secret !== null && Buffer.byteLength(secret) < LEAST_SECRET_BYTES) {
    findings.push(
      problem(
        about,
        `auth.secret has ${Buffer.byteLength(secret)} bytes: it can be guessed from one token`,
        'take 32 random bytes or more, as from openssl rand -base64 32',
      ),
    );
  }
  if (jwksUrl?.startsWith('http:') === true) {
    findings.push(
      warning(about, 'the keys for tokens are fetched without encryption', 'use https in auth.jwksUrl'),
    );
  }
  if (jwksUrl !== null && audience === null) {
    findings.push(
      warning(
        about,
        'tokens that the same issuer made for other services are taken, too',
        'set auth.audience to what yours carry',
      ),
    );
  }
  return findings;
}

function origins({ allowedOrigins, production }: Config): Finding {
  const about = 'origins';
  if (allowedOrigins.length === 0) {
    const says = 'pages of any website may connect';
    const advice = 'list your own in allowedOrigins, such as https://*.example.com';
    return production ? warning(about, says, advice) : ok(about, says, advice);
  }
  const plain = allowedOrigins.filter((origin) => /^http:\/\/(?!localhost\b|127\.)/i.test(origin));
  if (plain.length === 0) return ok(about, `pages of ${allowedOrigins.join(', ')} may connect`);
  return warning(
    about,
    `${plain.join(', ')} may connect: pages without encryption can be changed on their way`,
    'allow their https addresses only',
  );
}

function api({ apiKeys, production, auth }: Config): Finding[] {
  const about = 'http api';
  if (apiKeys.length === 0) {
    const isOff = production || (auth.secret ?? auth.publicKeyFile ?? auth.jwksUrl) !== null;
    const says = isOff ? 'it is off' : 'it answers requests from the same machine only';
    return [ok(about, `${says}: there is no key`, 'set ROOMCAST_API_KEYS to publish from a backend')];
  }
  const short = apiKeys.filter((key) => key.length < 16).length;
  if (short === 0) return [ok(about, 'it asks for a key')];
  return [
    problem(about, `${short} of its keys can be guessed: shorter than 16 characters`, 'take 32 random bytes'),
  ];
}
