/** `roomcast history`: prints the messages that a room keeps, oldest first. */
import type { HistoryPage, Position, RoomcastClient } from '../../client/node.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { withLink } from './command.ts';
import type { Ending } from './ending.ts';
import { jsonLine, templateProblem, textLine } from './format.ts';
import type { LinkOptions } from './options.ts';

export interface HistoryOptions extends LinkOptions {
  readonly last?: number;
  readonly since?: Position;
  readonly all?: boolean;
  readonly format?: string;
}

const DEFAULT_LAST = 100;

/** Returns the exit code. */
export async function historyCommand(io: Io, room: string, options: HistoryOptions): Promise<number> {
  const { last, since, all, format } = options;
  if ([last, since, all].filter((one) => one !== undefined).length > 1) {
    return fail(io, ['--last, --since and --all exclude each other'], EXIT.usage);
  }
  const problem = format === undefined ? null : templateProblem(format);
  if (problem !== null) return fail(io, [problem], EXIT.usage);
  return withLink(
    io,
    options,
    { patient: false },
    { run: (client, ending) => print(io, client, room, options, ending) },
  );
}

/** Page by page, so that a long history takes no more memory than a short one. */
async function print(
  io: Io,
  client: RoomcastClient,
  room: string,
  options: HistoryOptions,
  ending: Ending,
): Promise<void> {
  const ask = (since?: Position) =>
    client.history(room, { abort: ending.signal, ...(since === undefined ? { limit: 1 } : { since }) });
  const { position: newest } = await ask();
  const [epoch, target] = newest;
  if (epoch === '') {
    // Nodes answer the same for both. No lines are the right output of the first, so this is no failure.
    if (options.quiet !== true)
      io.stderr(`${room}: no messages: nothing was published yet, or its rule keeps no history\n`);
    return;
  }
  const format = formatterOf(io, options);
  let since = beginOf(newest, options);
  if (since[0] !== epoch)
    io.stderr(`${room}: ${since.join(',')} is of a numbering that is over: all that is kept follows\n`);
  while (since[0] !== epoch || since[1] < target) {
    const page = await ask(since);
    if (page.position[0] !== epoch)
      throw new Error(`${room}: the numbering began anew while its history was read`);
    const messages = page.messages.filter(({ offset }) => offset <= target);
    if (messages.length === 0) return;
    const lines = messages.map(({ offset, time, sender, data }) =>
      format({ room, epoch, offset, time, sender, data }),
    );
    if (!(await io.pipes.write(lines.join('')))) return;
    since = lastOf(page, epoch);
  }
}

function beginOf([epoch, offset]: Position, { last = DEFAULT_LAST, since, all }: HistoryOptions): Position {
  if (since !== undefined) return since;
  return [epoch, all ? 0 : Math.max(0, offset - last)];
}

function lastOf({ messages }: HistoryPage, epoch: string): Position {
  return [epoch, messages.at(-1)!.offset];
}

function formatterOf({ terminal }: Io, { format }: HistoryOptions) {
  if (format !== undefined) return textLine(format, { safe: terminal });
  return terminal ? textLine('%o %t %s %d', { safe: true }) : jsonLine;
}
