/** Everything that somebody may try who should not get in, by every way in, on a real node. The table is in test/support. */
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { ATTEMPTS, type Attempt, WAYS, type Way } from '../support/attempts.ts';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { secondsFromNow } from '../support/tokens.ts';

const API_KEY = 'a-key-of-the-attempts';
const ISSUER = 'https://id.example.com';
const AUDIENCE = 'roomcast';
const ORIGIN = 'https://app.example.com';
/** What the good token grants. */
const ROOM = 'granted:room';
const ROOMS = [
  { match: 'granted:*', join: true, publish: true },
  { match: 'closed:*', join: true, publish: true },
];

const trusted = generateKeyPairSync('rsa', { modulusLength: 2048 });
const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicPem = trusted.publicKey.export({ type: 'spki', format: 'pem' }).toString();

let node: NodeProcess;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roomcast-attempts-'));
  writeFileSync(join(dir, 'public.pem'), publicPem);
  node = await NodeProcess.start({
    env: {
      ROOMCAST_AUTH_PUBLIC_KEY_FILE: join(dir, 'public.pem'),
      ROOMCAST_AUTH_ISSUER: ISSUER,
      ROOMCAST_AUTH_AUDIENCE: AUDIENCE,
      ROOMCAST_API_KEYS: API_KEY,
      ROOMCAST_ALLOWED_ORIGINS: ORIGIN,
      ROOMCAST_ROOMS: JSON.stringify([{ match: 'closed:*', join: 'nobody', publish: 'server' }]),
    },
  });
  await Promise.all([revoke({ jti: 'revoked-token' }), revoke({ user: 'revoked-user' })]);
});

afterAll(async () => {
  await node.stop();
  rmSync(dir, { recursive: true });
});

async function revoke(whom: object): Promise<void> {
  const headers = { Authorization: `Bearer ${API_KEY}` };
  const body = JSON.stringify(whom);
  expect((await fetch(`${node.url}/v1/revocations`, { method: 'POST', headers, body })).status).toBe(200);
}

// ---- tokens ------------------------------------------------------------------------------------------------

const GOOD: JWTPayload = { iss: ISSUER, aud: AUDIENCE, sub: 'ann', rooms: ROOMS };

function signed(claims: JWTPayload, key: KeyObject = trusted.privateKey, header = {}): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', ...header })
    .setExpirationTime(claims.exp ?? secondsFromNow(600))
    .sign(key);
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** With the text of the public key, which everybody has, as the secret. */
function confused(): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...GOOD, exp: secondsFromNow(600) })}`;
  return `${text}.${createHmac('sha256', publicPem).update(text).digest('base64url')}`;
}

async function altered(change: (parts: string[]) => string[]): Promise<string> {
  return change((await signed(GOOD)).split('.')).join('.');
}

/** By the name of the attempt; a good one where none is named. */
const TOKENS: Readonly<Record<string, () => Promise<string | null> | string | null>> = {
  'no token': () => null,
  'text that is no token': () => 'nonsense',
  'an API key': () => API_KEY,
  'a token that has expired': () => signed({ ...GOOD, exp: secondsFromNow(-60) }),
  'a token of tomorrow (`nbf`)': () =>
    signed({ ...GOOD, nbf: secondsFromNow(86_400), exp: secondsFromNow(90_000) }),
  'a token of another issuer': () => signed({ ...GOOD, iss: 'https://id.evil.example' }),
  'a token for another audience': () => signed({ ...GOOD, aud: 'payments' }),
  'a token without issuer and audience': () => signed({ sub: 'ann' }),
  'a token without user': () => signed({ iss: ISSUER, aud: AUDIENCE }),
  'a token of more than 32 KiB': () => signed({ ...GOOD, info: 'x'.repeat(30_000) }),
  'forged: `alg: none`': () => `${part({ alg: 'none' })}.${part({ ...GOOD, exp: secondsFromNow(600) })}.`,
  'forged: signed with another key': () => signed(GOOD, foreign.privateKey),
  'forged: signed with a key that its own header brings': async () =>
    signed(GOOD, foreign.privateKey, { jwk: await exportJWK(foreign.publicKey) }),
  'forged: HS256 with the public key as the secret': () => confused(),
  'forged: another user in a signed token': () =>
    altered(([head, , signature]) => [
      head!,
      part({ ...GOOD, sub: 'bob', exp: secondsFromNow(600) }),
      signature!,
    ]),
  'forged: the signature cut off': () => altered(([head, claims]) => [head!, claims!, '']),
  'replayed: a token whose `jti` was revoked': () => signed({ ...GOOD, jti: 'revoked-token' }),
  'replayed: a token of a user who was revoked': () => signed({ ...GOOD, sub: 'revoked-user' }),
};

const ROOM_OF: Readonly<Record<string, string>> = {
  'a good token, a room that it does not grant': 'other:room',
  'a good token, a room that its rule closes': 'closed:room',
  "a good token, another user's personal room": '$user:bob',
};
const REPEATED = 'replayed: a publish with its `key`';
const OTHER_ORIGIN = 'a good token, a page of another origin';
const OTHER_USER = 'a token of another user on an open connection';

interface Trial {
  readonly token: string | null;
  readonly room: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What is published, or null to join. */
  readonly message: { readonly data: unknown; readonly key?: string } | null;
  readonly expected: string;
}

async function trialOf({ attempt }: Attempt, way: Way, expected: string): Promise<Trial> {
  const token = await (TOKENS[attempt] ?? (() => signed(GOOD)))();
  const isRepeated = attempt === REPEATED;
  return {
    token,
    room: ROOM_OF[attempt] ?? ROOM,
    headers: attempt === OTHER_ORIGIN ? { Origin: 'https://evil.example' } : {},
    message: isRepeated || way === 'publish' ? { data: 1, ...(isRepeated ? { key: 'once' } : {}) } : null,
    expected,
  };
}

// ---- ways in -----------------------------------------------------------------------------------------------

const TRIED: Readonly<Record<Way, (trial: Trial) => Promise<string>>> = {
  upgrade: (trial) => bySocket(trial, '', trial.token),
  url: (trial) => bySocket(trial, `?token=${trial.token}`, null),
  frame: async (trial) => {
    const client = await opened(trial.headers);
    if (typeof client === 'string') return client;
    if (trial.token !== null) client.sendCommand(['auth', AUTH_ID, trial.token]);
    return outcome(client, trial);
  },
  events: async ({ token, room, headers }) => {
    const abort = new AbortController();
    const path = `/v1/rooms/${encodeURIComponent(room)}/events`;
    const answer = await fetch(node.url + path, {
      headers: { ...headers, ...bearer(token) },
      signal: abort.signal,
    });
    if (answer.status !== 200) return refusalOf(answer);
    abort.abort();
    return '200';
  },
  publish: async ({ token, room, headers, message }) => {
    const path = `/v1/rooms/${encodeURIComponent(room)}/messages`;
    const body = JSON.stringify(message);
    const answer = await fetch(node.url + path, {
      method: 'POST',
      headers: { ...headers, ...bearer(token) },
      body,
    });
    if (answer.status !== 200) return refusalOf(answer);
    return ((await answer.json()) as { duplicate?: boolean }).duplicate === true ? 'duplicate' : '200';
  },
};

function bearer(token: string | null): Record<string, string> {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

async function refusalOf(answer: Response): Promise<string> {
  const body = await answer.text();
  return body.startsWith('{') ? `${answer.status} ${JSON.parse(body).error.code}` : `${answer.status}`;
}

async function bySocket(trial: Trial, query: string, token: string | null): Promise<string> {
  const client = await opened({ ...trial.headers, ...bearer(token) }, query);
  return typeof client === 'string' ? client : outcome(client, trial);
}

/** A connection, or the answer to its upgrade. */
async function opened(headers: Readonly<Record<string, string>>, query = ''): Promise<TestClient | string> {
  try {
    return await TestClient.connect(node.wsUrl + query, { headers });
  } catch (error) {
    if (error instanceof UpgradeRefused) return upgradeAnswer(headers, query);
    throw error;
  }
}

/** The same upgrade once more, for its code: the first was answered before there was a connection. */
async function upgradeAnswer(headers: Readonly<Record<string, string>>, query: string): Promise<string> {
  const upgrade = {
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const sent = request(`${node.url}/ws${query}`, {
      headers: { Connection: 'Upgrade', ...upgrade, ...headers },
    });
    sent.once('error', reject);
    sent.once('response', async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(
        body.startsWith('{')
          ? `${response.statusCode} ${JSON.parse(body).error.code}`
          : `${response.statusCode}`,
      );
    });
    sent.end();
  });
}

/** Beside those that the client counts from 1. */
const COMMAND_ID = 1007;
const AUTH_ID = 1008;

/** Asks for the room, or publishes to it, and reports what became of both the command and the connection. */
async function outcome(client: TestClient, { room, message, expected }: Trial): Promise<string> {
  const { key } = message ?? {};
  const options = key === undefined ? [] : [{ key }];
  const command =
    message === null ? ['join', COMMAND_ID, room] : ['publish', COMMAND_ID, room, message.data, ...options];
  client.sendCommand(command as unknown as CommandFrame);
  const isAnswer = ([type, id]: ServerFrame) => type === 'error' || (type === 'ok' && id === COMMAND_ID);
  const answer = await Promise.race([client.next(isAnswer), client.closed]);
  if ('code' in answer) return `closed ${answer.code}`;
  // Otherwise the connection must still answer.
  if (expected.includes('closed')) return `${answer[2]}, closed ${(await client.closed).code}`;
  expect(await client.ok('ping')).toEqual({});
  await client.close();
  if (answer[0] === 'error') return answer[2];
  return (answer[2] as { duplicate?: boolean }).duplicate === true ? 'duplicate' : 'accepted';
}

// ---- the table ---------------------------------------------------------------------------------------------

describe.each(ATTEMPTS.filter(({ attempt }) => attempt !== OTHER_USER))('$attempt', (attempt) => {
  it.each(WAYS.filter((way) => attempt.answers[way] !== undefined))(
    'by %s is answered as documented',
    async (way) => {
      const expected = attempt.answers[way]!;
      const trial = await trialOf(attempt, way, expected);
      // The first is stored; what the table speaks of is the second.
      if (attempt.attempt === REPEATED) await TRIED[way](trial);
      expect(await TRIED[way](trial)).toBe(expected);
    },
  );
});

describe(OTHER_USER, () => {
  it('is answered as documented', async () => {
    const client = await TestClient.connect(node.wsUrl, { token: await signed(GOOD) });
    const reply = await client.request('auth', await signed({ ...GOOD, sub: 'bob' }));
    const { answers } = ATTEMPTS.find(({ attempt }) => attempt === OTHER_USER)!;
    expect(answers).toEqual({ frame: `${reply[2]}, closed ${(await client.closed).code}` });
  });
});

describe('the table', () => {
  it('names no token that is never made, and no room', () => {
    const names = ATTEMPTS.map(({ attempt }) => attempt);
    for (const name of [...Object.keys(TOKENS), ...Object.keys(ROOM_OF), REPEATED, OTHER_ORIGIN])
      expect(names).toContain(name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('left nothing open, and nothing in the log', async () => {
    const lines = node.lines.join('\n');
    expect(lines).not.toContain('eyJhbGciOi');
    expect(lines).not.toContain(API_KEY);
    expect(node.log.filter(({ level }) => Number(level) >= 50 || level === 'error')).toEqual([]);
  });
});
