/** `roomcast members`: prints who is in a room. */
import type { PresentMember, Snapshot } from '../../client/node.ts';
import type { Io } from '../io.ts';
import { withLink } from './command.ts';
import { toJson, withoutControls } from './format.ts';
import type { LinkOptions } from './options.ts';

/** Returns the exit code. */
export function membersCommand(io: Io, room: string, options: LinkOptions): Promise<number> {
  return withLink(
    io,
    options,
    { patient: false },
    {
      async run(client, { signal }) {
        const snapshot = await client.listMembers(room, { abort: signal });
        await io.pipes.write(io.terminal ? table(snapshot.members) : lines(snapshot.members));
        for (const line of remarks(room, snapshot, io.terminal)) io.stderr(`${line}\n`);
      },
    },
  );
}

function lines(members: readonly PresentMember[]): string {
  return members.map((member) => `${toJson(member)}\n`).join('');
}

function table(members: readonly PresentMember[]): string {
  const rows = members.map(({ user, connection, info, data }) => {
    const shown = [info, data].filter((value) => value !== undefined && value !== null).map(toJson);
    return [user ?? '-', connection, shown.join(' ')].map(withoutControls);
  });
  const width = (column: number) => Math.max(0, ...rows.map((row) => row[column]!.length));
  const [user, connection] = [width(0), width(1)];
  return rows
    .map(([who = '', where = '', what]) =>
      `${who.padEnd(user)}  ${where.padEnd(connection)}  ${what}`.trimEnd(),
    )
    .map((row) => `${row}\n`)
    .join('');
}

/** How many there are tells a person what a program counts. A list that is cut short is told to both. */
function remarks(room: string, { members, count, users, ...rest }: Snapshot, terminal: boolean): string[] {
  const isPartial = rest.partial === true || rest.truncated === true;
  const total = `${room}: ${count} connections, ${users} users`;
  if (isPartial) return [`${total}; only ${members.length} are listed`];
  return terminal ? [total] : [];
}
