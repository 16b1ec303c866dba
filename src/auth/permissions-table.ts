/** Who may do what, as Markdown for `docs/permissions.md`: `authorize` gives every answer. */
import {
  type Asker,
  authorize,
  authorizeInCluster,
  type ClusterAction,
  type KeptOut,
  NOBODY_KEPT_OUT,
  type RoomAccess,
  type RoomAction,
} from './authorize.ts';
import type { Identity } from './identity.ts';
import { permissionsFrom } from './permissions.ts';

const COMMANDS = [
  ...(['join', 'leave', 'publish', 'presence', 'members', 'history', 'ack'] as const satisfies RoomAction[]),
];

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

const ROOMS: readonly RoomKind[] = [
  { title: 'Ordinary room: `join: anyone`, `publish: anyone`', room: 'chat', access: OPEN },
  { title: '`join: authenticated`', room: 'chat', access: { ...OPEN, join: 'authenticated' } },
  { title: '`join: nobody`', room: 'chat', access: { ...OPEN, join: 'nobody' } },
  { title: '`publish: members`', room: 'chat', access: { ...OPEN, publish: 'members' } },
  { title: '`publish: authenticated`', room: 'chat', access: { ...OPEN, publish: 'authenticated' } },
  { title: '`publish: server`', room: 'chat', access: { ...OPEN, publish: 'server' } },
  { title: '`presenceData: false`', room: 'chat', access: { ...OPEN, presenceData: false } },
  { title: 'A room that the server keeps the user out of', room: 'chat', access: OPEN, isClosed: true },
  { title: "The user's own personal room, `$user:<id>`", room: '$user:ann', access: OPEN },
  { title: 'The personal room of another user', room: '$user:bob', access: OPEN },
  { title: 'Any other name with `$`', room: '$other', access: OPEN },
];

const IDENTITIES: readonly (readonly [title: string, identity: Identity | null])[] = [
  ['anonymous', null],
  ['user, token without `rooms`', user(undefined)],
  ['user, `rooms` grants `join`', user([{ match: '*', join: true }])],
  ['user, `rooms` grants `publish`', user([{ match: '*', publish: true }])],
  ['user, `rooms` grants neither', user([])],
];

function user(rooms: unknown): Identity {
  return { user: 'ann', expiresAtMs: null, permissions: permissionsFrom(rooms) };
}

/** No trailing newline. */
export function permissionsTable(): string {
  const rooms = ROOMS.flatMap(roomSection);
  return [
    ...[...rooms, '### HTTP for clients', '', ...clientRouteTable(), ''],
    ...['### HTTP API', '', ...routeTable()],
  ].join('\n');
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

function clientRouteTable(): string[] {
  const rows = CLIENT_ROUTES.map(([method, path, action]) => [
    `\`${method} ${path}\``,
    `as \`${action}\``,
    action === 'publish' ? 'who may `join` counts as a member' : 'for each room, before the stream begins',
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
