/** `sub`, `pub`, `members` and `history`: what a client does, from the command line. */
import { type Command, Option } from 'commander';
import { whole } from '../arguments.ts';
import type { Io } from '../io.ts';
import { FORMAT_HELP } from './format.ts';
import type { HistoryOptions } from './history.ts';
import { addLinkOptions, type LinkOptions, position, seconds } from './options.ts';
import type { PubOptions } from './pub.ts';
import type { SubOptions } from './sub.ts';

type Ended = (exitCode: number) => void;

const MAX_COUNT = 999_999_999;
const EXIT_CODES =
  'Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 no connection, 124 timeout, 130 Ctrl-C.';

const SUB_HELP = `
Prints JSON lines, or on a terminal lines by --format '%o %t %s %d' (with several rooms '%r' first).
In a format: ${FORMAT_HELP}.
The position file moves after a message was written out, so that a sub that is killed repeats messages rather than loses them.
Where the output is read too slowly, sub leaves the rooms until it is read again, and goes on from history.

Examples:
  roomcast sub chat:lobby --last 20                 the newest 20 messages, and what comes
  roomcast sub orders:eu orders:us | jq .data       two rooms, for a program
  roomcast sub jobs --count 1 --timeout 60          wait for one message
  roomcast sub jobs --last 100 --idle 2             until nothing comes for two seconds
  roomcast sub jobs --position-file jobs.position   continues where it stopped
  roomcast sub jobs --since h8ak4ujy,42             what came after a message (epoch and offset, as printed)

${EXIT_CODES}`;

const PUB_HELP = `
Without DATA, or with -, each line of standard input is a message. It ends when every message is acknowledged: exit code 0 means that
all are stored. Otherwise it says how many were, and which lines were not.

Examples:
  roomcast pub chat:lobby hello
  roomcast pub orders '{"id": 17}' --json --key order-17
  tail -f app.log | roomcast pub logs
  roomcast pub orders --json --key-from line < orders.ndjson   run it again after a failure: nothing is stored twice
  roomcast pub pictures --whole --binary < cat.jpg
  roomcast pub chat:lobby '{"typing": true}' --json --ephemeral
  roomcast pub chat:lobby hello --join              where only members may publish

${EXIT_CODES}`;

const HISTORY_HELP = `
Prints the newest 100 messages, oldest first: as JSON lines, or on a terminal by --format '%o %t %s %d'.
In a format: ${FORMAT_HELP}.

Examples:
  roomcast history chat:lobby --last 20
  roomcast history orders --all > orders.ndjson
  roomcast history orders --since h8ak4ujy,42

${EXIT_CODES}`;

const MEMBERS_HELP = `
Prints a JSON line for each connection, or on a terminal user, connection and what they say about themselves.

Examples:
  roomcast members chat:lobby
  roomcast members chat:lobby | jq -r .user | sort -u

${EXIT_CODES}`;

export function addRoomCommands(program: Command, io: Io, ended: Ended): void {
  addSub(program, io, ended);
  addPub(program, io, ended);
  addMembers(program, io, ended);
  addHistory(program, io, ended);
}

function addSub(program: Command, io: Io, ended: Ended): void {
  const sub = program
    .command('sub')
    .description('print what is published in rooms')
    .argument('<room...>', 'rooms to join')
    .option('--last <n>', 'the newest so many kept messages first', whole(0, MAX_COUNT))
    .option('--since <epoch,offset>', 'begin after this position; for one room', position)
    .option(
      '--position-file <file>',
      'continue where the file says, and keep it up to date; before --last and --since',
    )
    .option('--count <n>', 'end after so many messages', whole(1, MAX_COUNT))
    .option(
      '--idle <seconds>',
      'end when nothing comes for so long: with 0, with --count and fewer messages with 124',
      seconds,
    )
    .option('--format <template>', "a line for each message, such as '%o %t %s %d'")
    .option('--signals', 'print signals too: messages that are not kept, such as typing');
  addLinkOptions(sub)
    .addHelpText('after', SUB_HELP)
    .action(async (rooms: readonly string[], options: SubOptions) => {
      const { subCommand } = await import('./sub.ts');
      ended(await subCommand(io, rooms, options));
    });
}

function addPub(program: Command, io: Io, ended: Ended): void {
  const pub = program
    .command('pub')
    .description('publish in a room')
    .argument('<room>', 'where to publish')
    .argument('[data]', 'the message; - for standard input')
    .option('--whole', 'standard input is one message, not one for each line')
    .option('--json', 'messages are JSON, not text')
    .option('--binary', 'messages are bytes, not text')
    .option('--key <key>', 'idempotency key of the message: a second one with it is not stored')
    .addOption(
      new Option(
        '--key-from <what>',
        'make the key of each message from the number and text of its line',
      ).choices(['line']),
    )
    .option('--join', 'join the room first, where its rule lets only members publish')
    .option('--ephemeral', 'publish signals, which are not kept: for members that are here now')
    .option('--results', 'print a JSON line for each acknowledged message: line, epoch, offset, duplicate');
  addLinkOptions(pub)
    .addHelpText('after', PUB_HELP)
    .action(async (room: string, data: string | undefined, options: PubOptions) => {
      const { pubCommand } = await import('./pub.ts');
      ended(await pubCommand(io, room, data, options));
    });
}

function addMembers(program: Command, io: Io, ended: Ended): void {
  const members = program
    .command('members')
    .description('print who is in a room')
    .argument('<room>', 'the room');
  addLinkOptions(members)
    .addHelpText('after', MEMBERS_HELP)
    .action(async (room: string, options: LinkOptions) => {
      const { membersCommand } = await import('./members.ts');
      ended(await membersCommand(io, room, options));
    });
}

function addHistory(program: Command, io: Io, ended: Ended): void {
  const history = program
    .command('history')
    .description('print the messages that a room keeps')
    .argument('<room>', 'the room')
    .option('--last <n>', 'the newest so many (default: 100)', whole(1, MAX_COUNT))
    .option('--since <epoch,offset>', 'those after this position', position)
    .option('--all', 'everything that is kept')
    .option('--format <template>', "a line for each message, such as '%o %t %s %d'");
  addLinkOptions(history)
    .addHelpText('after', HISTORY_HELP)
    .action(async (room: string, options: HistoryOptions) => {
      const { historyCommand } = await import('./history.ts');
      ended(await historyCommand(io, room, options));
    });
}
