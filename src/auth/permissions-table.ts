/** Who may do what, as Markdown for `docs/permissions.md`: `authorize` gives every answer. */
import type { Access } from '../config/room-rule.ts';
import {
  type Asker,
  authorize,
  authorizeInCluster,
  authorizeJoin,
  type ClusterAction,
  type JoinAsks,
  type KeptOut,
  NOBODY_KEPT_OUT,
  PLAIN_JOIN,
  type RoomAccess,
  type RoomAction,
} from './authorize.ts';
import type { Identity } from './identity.ts';
import { permissionsFrom } from './permissions.ts';
import { PUSH_RIGHTS, RIGHTS, RIGHTS_BESIDE_JOIN, type Right } from './rights.ts';

/** Every command that concerns a room; its name is the action that it needs. */
export const COMMANDS = [
  'join',
  'leave',
  'publish',
  'presence',
  'members',
  'history',
  'ack',
] as const satisfies RoomAction[];

/** Commands that concern no room. */
export const ROOMLESS_COMMANDS = ['auth', 'ping'] as const;

/** Every route of the HTTP API, and the action that it needs. */
export const ROUTES = [
  ['POST', '/v1/publish', 'publish'],
  ['POST', '/v1/publish/batch', 'publish'],
  ['GET', '/v1/rooms/:room/members', 'members'],
  ['GET', '/v1/rooms/:room/history', 'history'],
  ['DELETE', '/v1/rooms/:room/history', 'clear'],
  ['GET', '/v1/rooms/:room/acks', 'acks'],
  ['POST', '/v1/rooms/:room/add', 'add'],
  ['POST', '/v1/rooms/:room/remove', 'remove'],
  ['GET', '/v1/rooms', 'rooms'],
  ['GET', '/v1/nodes', 'nodes'],
  ['GET', '/v1/users/:user', 'user'],
  ['POST', '/v1/users/:user/disconnect', 'disconnect'],
  ['POST', '/v1/revocations', 'revoke'],
  ['GET', '/v1/revocations', 'revoke'],
  ['DELETE', '/v1/revocations', 'revoke'],
] as const;

/** Every HTTP route of clients, and the command whose answer it gives. */
export const CLIENT_ROUTES = [
  ['GET', '/v1/rooms/:room/events', 'join'],
  ['POST', '/v1/events', 'join'],
  ['POST', '/v1/rooms/:room/messages', 'publish'],
] as const;

interface RoomKind {
  readonly title: string;
  readonly room: string;
  readonly access: RoomAccess;
  /** Users are kept out of it. */
  readonly isClosed?: true;
}

const ALL_KEPT_OUT: KeptOut = { leftMs: () => 60_000 };

const OPEN: RoomAccess = { join: 'anyone', publish: 'anyone' };
const CLOSED: RoomAccess = { match: null, join: 'server', publish: 'server', deniesByDefault: true };

const ROOMS: readonly RoomKind[] = [
  ordinary('Ordinary room: `join: anyone`, `publish: anyone`', {}),
  ordinary('`join: authenticated`', { join: 'authenticated' }),
  ordinary('`join: claim`', { join: 'claim' }),
  ordinary('`join: server`, or `nobody`', { join: 'server' }),
  ordinary('`publish: members`', { publish: 'members' }),
  ordinary('`publish: authenticated`', { publish: 'authenticated' }),
  ordinary('`publish: claim`', { publish: 'claim' }),
  ordinary('`publish: server`', { publish: 'server' }),
  ordinary('`access: {members: authenticated}`', { access: { members: 'authenticated' } }),
  ordinary('`access: {members: claim}`', { access: { members: 'claim' } }),
  ordinary('`access: {history: server}`', { access: { history: 'server' } }),
  ordinary('`access: {ack: claim}`', { access: { ack: 'claim' } }),
  ordinary('`access: {presence: claim}`', { access: { presence: 'claim' } }),
  ordinary('`join: server`, `access: {history: anyone}`', { join: 'server', access: { history: 'anyone' } }),
  ordinary('`presenceData: false`', { presenceData: false }),
  { title: '`defaultDeny`, and no rule matches', room: 'chat', access: CLOSED },
  ordinary('`defaultDeny`, and a rule with `join: anyone`, `publish: members`', {
    publish: 'members',
    deniesByDefault: true,
  }),
  { ...ordinary('A room that the server keeps the user out of', {}), isClosed: true },
  { title: "The user's own personal room, `$user:<id>`", room: '$user:ann', access: CLOSED },
  { title: 'The personal room of another user', room: '$user:bob', access: OPEN },
  { title: 'Any other name with `$`', room: '$other', access: OPEN },
];

function ordinary(title: string, access: Partial<RoomAccess>): RoomKind {
  return { title, room: 'chat', access: { ...OPEN, ...access } };
}

const IDENTITIES: readonly (readonly [title: string, identity: Identity | null])[] = [
  ['anonymous', null],
  ['user, token without `rooms`', user(undefined)],
  ['user, `rooms` grants `join`', user([{ match: '*', join: true }])],
  ['user, `rooms` grants `publish`', user([{ match: '*', publish: true }])],
  ['user, `rooms` grants all six by name', user([granting(RIGHTS, true)])],
  [
    'user, `rooms` grants `join` and `publish`, the others `false`',
    user([{ ...granting(RIGHTS_BESIDE_JOIN, false), join: true, publish: true }]),
  ],
  ['user, `rooms` grants nothing', user([])],
];

function user(rooms: unknown): Identity {
  return { user: 'ann', expiresAtMs: null, permissions: permissionsFrom(rooms) };
}

function granting(rights: readonly Right[], value: boolean): Record<string, unknown> {
  return { match: '*', ...Object.fromEntries(rights.map((right) => [right, value])) };
}

/** No trailing newline. */
export function permissionsTable(): string {
  return [
    ...['### What a rule says about a right', '', ...valuesTable(), ''],
    ...ROOMS.flatMap(roomSection),
    ...['### Options of `join`', '', ...joinTable(), ''],
    ...['### Pushes', '', ...pushTable(), ''],
    ...['### HTTP for clients', '', ...clientRouteTable(), ''],
    ...['### HTTP API', '', ...routeTable()],
  ].join('\n');
}

/** Asked of one right; `authorize` answers for the others in the same way. */
function valuesTable(): string[] {
  const values = ['anyone', 'authenticated', 'claim', 'server'] as const satisfies Access[];
  const rows = IDENTITIES.map(([title, identity]) => [
    title,
    ...values.map((history) => {
      const access = { ...OPEN, access: { history } };
      return cell(authorize('history', 'chat', { identity, rooms: [] }, access, NOBODY_KEPT_OUT));
    }),
  ]);
  return table([['`history`, where the rule says', ...values.map((value) => `\`${value}\``)], ...rows]);
}

function roomSection(kind: RoomKind): string[] {
  const clients = IDENTITIES.map(([title, identity]) => [
    title,
    ...COMMANDS.map((action) => clientCell(action, kind, identity)),
  ]);
  const head = ['', ...COMMANDS.map((action) => `\`${action}\``)];
  return [`### ${kind.title}`, '', ...table([head, ...clients]), ''];
}

function clientCell(action: RoomAction, kind: RoomKind, identity: Identity | null): string {
  const { room, access, isClosed = false } = kind;
  const keptOut = isClosed ? ALL_KEPT_OUT : NOBODY_KEPT_OUT;
  const answer = (rooms: readonly string[]) =>
    cell(authorize(action, room, { identity, rooms }, access, keptOut));
  const [asMember, asOther] = [answer([room]), answer([])];
  return asMember === asOther ? asOther : `${asMember} as a member, else ${asOther}`;
}

/** Every option of `join`. Null: the node joins all the same, and does what `else` says. */
export const JOIN_OPTIONS: readonly {
  readonly option: string;
  readonly asks: Partial<JoinAsks> | null;
  readonly needs?: Right;
  readonly else?: string;
}[] = [
  { option: 'none', asks: {} },
  {
    option: 'since',
    asks: null,
    needs: 'history',
    else: 'a `gap` with the reason `forbidden` in place of the messages',
  },
  { option: 'last', asks: { last: 1 } },
  { option: 'resume', asks: { resume: true } },
  { option: 'members', asks: { members: true } },
  { option: 'data', asks: { data: 1 } },
  { option: 'none', asks: null, needs: 'ack', else: 'no `acked` in the answer' },
];

function joinTable(): string[] {
  const rows = JOIN_OPTIONS.map(({ option, asks, needs, else: instead = '`forbidden`' }) => {
    const needed = asks === null ? [needs!] : rightsNeeded({ ...PLAIN_JOIN, ...asks });
    return [
      option === 'none' ? option : `\`${option}\``,
      needed.map((right) => `\`${right}\``).join(', '),
      instead,
    ];
  });
  return table([['option', 'needs', 'without'], ...rows]);
}

/** The rights without which a join is refused. */
function rightsNeeded(asks: JoinAsks): Right[] {
  return RIGHTS.filter((right) => {
    const identity = user([{ ...granting(RIGHTS, true), [right]: false }]);
    return authorizeJoin('chat', asks, { identity, rooms: [] }, OPEN, NOBODY_KEPT_OUT) !== null;
  });
}

function pushTable(): string[] {
  const rows = Object.entries(PUSH_RIGHTS).map(([push, right]) => [
    `\`${push}\``,
    right === null ? 'nothing' : `a membership, and \`${right}\``,
  ]);
  return table([['push', 'needs'], ...rows]);
}

function clientRouteTable(): string[] {
  const rows = CLIENT_ROUTES.map(([method, path, action]) => [
    `\`${method} ${path}\``,
    `as \`${action}\``,
    action === 'publish'
      ? 'who may `join` counts as a member'
      : 'with its options, for each room, before the stream begins; its events are the pushes above',
  ]);
  return table([['', 'with a token, or anonymous', ''], ...rows]);
}

function routeTable(): string[] {
  const rows = ROUTES.map(([method, path, action]) => [
    `\`${method} ${path}\``,
    routeCell(action, 'server'),
    '`unauthorized`',
  ]);
  return table([['', 'with an API key', 'without'], ...rows]);
}

/** The answer, which must be the same for every kind of room. */
function routeCell(action: (typeof ROUTES)[number][2], asker: Asker): string {
  if (isOfCluster(action)) return cell(authorizeInCluster(action, asker));
  const answers = new Set(
    ROOMS.map(({ room, access }) => cell(authorize(action, room, asker, access, NOBODY_KEPT_OUT))),
  );
  return answers.size === 1 ? [...answers][0]! : [...answers].join(' or ');
}

const CLUSTER_ACTIONS: Readonly<Record<ClusterAction, true>> = {
  ...{ rooms: true, nodes: true, disconnect: true, user: true, revoke: true },
};

function isOfCluster(action: string): action is ClusterAction {
  return action in CLUSTER_ACTIONS;
}

function cell(refusal: { readonly code: string } | null): string {
  return refusal === null ? 'yes' : `\`${refusal.code}\``;
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}
