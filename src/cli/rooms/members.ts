/** `roomcast members`: prints who is in a room, page after page. */
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
        let after: string | undefined;
        let page: Snapshot;
        do {
          page = await client.listMembers(room, { abort: signal, ...(after === undefined ? {} : { after }) });
          await io.pipes.write(io.terminal ? table(page.members) : lines(page.members));
          after = page.next;
        } while (after !== undefined);
        // A program counts by itself.
        if (io.terminal) io.stderr(`${room}: ${page.count} connections, ${page.users} users\n`);
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
