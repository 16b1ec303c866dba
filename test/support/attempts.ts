/**
 * What somebody may try who should not get in, and what each is told: `test/integration/attempts.test.ts` tries all of it, and
 * docs/attempts.md is printed from it.
 */

/** The ways in. */
export const WAYS = ['upgrade', 'url', 'frame', 'events', 'publish'] as const;
export type Way = (typeof WAYS)[number];

export const WAY_NAMES: Readonly<Record<Way, string>> = {
  upgrade: 'WebSocket, `Authorization`',
  url: 'WebSocket, `?token=`',
  frame: 'WebSocket, `auth` frame',
  events: 'event stream',
  publish: 'HTTP publish',
};

/** How each way answers; a way that is left out does not exist for this attempt. */
export type Answers = Partial<Readonly<Record<Way, string>>>;

export interface Attempt {
  /** Names the token, or what is done with a good one. */
  readonly attempt: string;
  readonly answers: Answers;
}

/** A refused token: before there is a connection with a status, afterwards with a close code. */
function refused(code: string, close: number): Answers {
  const http = `401 ${code}`;
  const frame = `${code}, closed ${close}`;
  return { upgrade: http, url: frame, frame, events: http, publish: http };
}

/** The connection lives: only this is refused. */
function everywhere(socket: string, http: string): Answers {
  return { upgrade: socket, url: socket, frame: socket, events: http, publish: http };
}

const UNAUTHORIZED = refused('unauthorized', 4501);
const REVOKED = refused('token_revoked', 4505);
const FORBIDDEN = everywhere('forbidden', '403 forbidden');

export const ATTEMPTS: readonly Attempt[] = [
  {
    attempt: 'no token',
    answers: { frame: 'unauthorized, closed 4501', events: '401 unauthorized', publish: '401 unauthorized' },
  },
  { attempt: 'text that is no token', answers: UNAUTHORIZED },
  { attempt: 'an API key', answers: UNAUTHORIZED },
  { attempt: 'a token that has expired', answers: refused('token_expired', 4002) },
  { attempt: 'a token of tomorrow (`nbf`)', answers: UNAUTHORIZED },
  { attempt: 'a token of another issuer', answers: UNAUTHORIZED },
  { attempt: 'a token for another audience', answers: UNAUTHORIZED },
  { attempt: 'a token without issuer and audience', answers: UNAUTHORIZED },
  { attempt: 'a token without user', answers: UNAUTHORIZED },
  {
    attempt: 'a token of more than 32 KiB',
    answers: { upgrade: '431', url: '431', frame: 'closed 1009', events: '431', publish: '431' },
  },
  { attempt: 'forged: `alg: none`', answers: UNAUTHORIZED },
  { attempt: 'forged: signed with another key', answers: UNAUTHORIZED },
  { attempt: 'forged: signed with a key that its own header brings', answers: UNAUTHORIZED },
  { attempt: 'forged: HS256 with the public key as the secret', answers: UNAUTHORIZED },
  { attempt: 'forged: another user in a signed token', answers: UNAUTHORIZED },
  { attempt: 'forged: the signature cut off', answers: UNAUTHORIZED },
  { attempt: 'replayed: a token whose `jti` was revoked', answers: REVOKED },
  { attempt: 'replayed: a token of a user who was revoked', answers: REVOKED },
  { attempt: 'replayed: a token that is still good', answers: everywhere('accepted', '200') },
  {
    attempt: 'replayed: a publish with its `key`',
    answers: { upgrade: 'duplicate', url: 'duplicate', frame: 'duplicate', publish: 'duplicate' },
  },
  {
    attempt: 'a token of another user on an open connection',
    answers: { frame: 'unauthorized, closed 4501' },
  },
  { attempt: 'a good token, a room that it does not grant', answers: FORBIDDEN },
  { attempt: 'a good token, a room that its rule closes', answers: FORBIDDEN },
  { attempt: "a good token, another user's personal room", answers: FORBIDDEN },
  {
    attempt: 'a good token, a page of another origin',
    answers: everywhere('403 forbidden', '403 forbidden'),
  },
];

export function attemptsTable(): string {
  const rows = ATTEMPTS.map(({ attempt, answers }) => [
    attempt,
    ...WAYS.map((way) => (answers[way] === undefined ? '–' : code(answers[way]))),
  ]);
  const head = ['attempt', ...WAYS.map((way) => WAY_NAMES[way])];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Codes as code, words as words. */
function code(answer: string): string {
  return answer.replaceAll(/\b(?!accepted|closed|duplicate)[a-z]+(?:_[a-z]+)*\b/g, '`$&`');
}
