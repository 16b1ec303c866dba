/** Who may do what, as Markdown for `docs/permissions.md`: `authorize` gives every answer. */
import { type Asker, authorize, authorizeInCluster, type RoomAccess, type RoomAction } from './authorize.ts';
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
  ['GET', '/v1/rooms/:room/acks', 'acks'],
  ['GET', '/v1/rooms', 'rooms'],
  ['GET', '/v1/nodes', 'nodes'],
  ['POST', '/v1/users/:user/disconnect', 'disconnect'],
] as const;

interface RoomKind {
  readonly title: string;
  readonly room: string;
  readonly access: RoomAccess;
}

const OPEN: RoomAccess = { join: 'anyone', publish: 'anyone' };

const ROOMS: readonly RoomKind[] = [
  { title: 'Ordinary room: `join: anyone`, `publish: anyone`', room: 'chat', access: OPEN },
  { title: '`join: authenticated`', room: 'chat', access: { ...OPEN, join: 'authenticated' } },
  { title: '`join: nobody`', room: 'chat', access: { ...OPEN, join: 'nobody' } },
  { title: '`publish: members`', room: 'chat', access: { ...OPEN, publish: 'members' } },
  { title: '`publish: authenticated`', room: 'chat', access: { ...OPEN, publish: 'authenticated' } },
  { title: '`publish: server`', room: 'chat', access: { ...OPEN, publish: 'server' } },
  { title: '`presenceData: false`', room: 'chat', access: { ...OPEN, presenceData: false } },
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
  return [...ROOMS.flatMap(roomSection), '### HTTP API', '', ...routeTable()].join('\n');
}

function roomSection(kind: RoomKind): string[] {
  const clients = IDENTITIES.map(([title, identity]) => [
    title,
    ...COMMANDS.map((action) => clientCell(action, kind, identity)),
  ]);
  const head = ['', ...COMMANDS.map((action) => `\`${action}\``)];
  return [`### ${kind.title}`, '', ...table([head, ...clients]), ''];
}

function clientCell(action: RoomAction, { room, access }: RoomKind, identity: Identity | null): string {
  const answer = (rooms: readonly string[]) => cell(authorize(action, room, { identity, rooms }, access));
  const [asMember, asOther] = [answer([room]), answer([])];
  return asMember === asOther ? asOther : `${asMember} as a member, else ${asOther}`;
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
  if (action === 'rooms' || action === 'nodes' || action === 'disconnect') {
    return cell(authorizeInCluster(action, asker));
  }
  const answers = new Set(ROOMS.map(({ room, access }) => cell(authorize(action, room, asker, access))));
  return answers.size === 1 ? [...answers][0]! : [...answers].join(' or ');
}

function cell(refusal: { readonly code: string } | null): string {
  return refusal === null ? 'yes' : `\`${refusal.code}\``;
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}
