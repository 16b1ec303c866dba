/** The options of `roomcast bench`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { PAYLOAD_HEAD_BYTES } from '../../load/payload.ts';
import type { Encoding } from '../../protocol/subprotocol.ts';
import { positive, upTo, whole } from '../arguments.ts';

export interface BenchOptions {
  readonly rooms: number;
  /** Per room, like publishers. */
  readonly members: number;
  /** Default: as many as the load needs; see `planBench`. */
  readonly publishers?: number;
  readonly outside?: boolean;
  /** Bytes. */
  readonly payload: number;
  /** Default, without a rate: 64, or with `cut` a rate that the history of a room can hold. */
  readonly inFlight?: number;
  /** Publishes a second of all publishers together; replaces `inFlight`. */
  readonly rate?: number;
  /** Seconds. */
  readonly ramp?: number;
  readonly connectRate?: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly processes: number;
  readonly encoding: Encoding;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly roomPrefix: string;
  readonly json?: boolean;
  readonly cut?: boolean;
}

/** A payload names its room and publisher with numbers below this. */
const MAX_INDEX = 2 ** 15;
/** The longest string whose MessagePack length takes two bytes: what the driver reads. */
const MAX_PAYLOAD_BYTES = 2 ** 16 - 1;
const MAX_MEMBERS = 1_000_000;
const MAX_IN_FLIGHT = 1_000_000;
const MAX_PROCESSES = 256;
const MAX_SECONDS = 86_400;
const MAX_RATE = 10_000_000;

const EXAMPLES = `
Examples:
  roomcast bench                                        one room of 100 on ws://localhost:8080/ws, as fast as it goes
  roomcast bench wss://rooms.example.com --rate 50      50 publishes a second, to measure latency
  roomcast bench --rooms 500 --members 10 --processes 2 many small rooms, from two driver processes
  roomcast bench ws://node1:8080 ws://node2:8080        two nodes without a balancer, each room on both
  roomcast bench --cut                                  cut all members off during the run, and check delivery
  roomcast bench --members 5000 --connect-rate 200      open 200 connections a second
  roomcast bench --json > result.json                   for scripts

Exit code 0: everything was delivered once and in order, without errors. 1: not so, or it could not run. 2: the command line is wrong.
It publishes real messages, in rooms of its own; they stay for as long as the history of such rooms is kept.`;

export function addBenchOptions(command: Command): Command {
  return command
    .argument(
      '[url...]',
      'ws, wss, http or https; several are used in turn (default: ws://localhost:8080/ws)',
      appendedUrl,
    )
    .option('--rooms <n>', 'rooms', whole(1, MAX_INDEX), 1)
    .option('--members <n>', 'members of each room, a connection each', whole(1, MAX_MEMBERS), 100)
    .option(
      '--publishers <n>',
      'connections that publish, per room (default: as many as the load needs)',
      whole(1, MAX_INDEX),
    )
    .option('--outside', 'publish from separate connections instead of members')
    .option(
      '--payload <bytes>',
      `bytes of a message, at least ${PAYLOAD_HEAD_BYTES}`,
      whole(PAYLOAD_HEAD_BYTES, MAX_PAYLOAD_BYTES),
      128,
    )
    .option(
      '--in-flight <n>',
      'publish as fast as possible with this many publishes in flight (default: 64)',
      whole(1, MAX_IN_FLIGHT),
    )
    .addOption(
      new Option(
        '--rate <n>',
        'publishes a second in total, however slow the replies; latency counts from when each was due',
      )
        .argParser(positive(MAX_RATE))
        .conflicts('inFlight'),
    )
    .option(
      '--ramp <seconds>',
      'start at zero and reach --rate in this many seconds; skips the warm-up',
      positive(MAX_SECONDS),
    )
    .option(
      '--connect-rate <n>',
      'new connections a second (default: as fast as possible)',
      positive(MAX_RATE),
    )
    .option('--seconds <n>', 'how long to measure', positive(MAX_SECONDS), 10)
    .option('--warm-up <seconds>', 'load before the measurement; 0 for none', upTo(MAX_SECONDS), 2)
    .option('--processes <n>', 'driver processes; one is limited to one core', whole(1, MAX_PROCESSES), 1)
    .addOption(
      new Option('--encoding <name>', 'encoding that connections use')
        .choices(['msgpack', 'json'] satisfies Encoding[])
        .default('msgpack'),
    )
    .addOption(
      new Option('--token <token>', 'token to connect with, if nodes require one').conflicts('tokenFile'),
    )
    .option('--token-file <file>', 'read the token from a file, hidden from other processes')
    .option('--room-prefix <text>', 'prefix of room names, before a number', 'bench:')
    .option(
      '--cut',
      'cut all members off for 2 s after a third of the time, and check delivery. Implies --outside, and by default a rate of 20 per room',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES);
}

function appendedUrl(text: string, before: readonly URL[] = []): URL[] {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^(ws|http)s?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be a URL such as ws://localhost:8080/ws.');
  }
  return [...before, url];
}
