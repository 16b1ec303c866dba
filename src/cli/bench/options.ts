/** What `roomcast bench` takes. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { PAYLOAD_HEAD_BYTES } from '../../load/payload.ts';
import type { Encoding } from '../../protocol/subprotocol.ts';

export interface BenchOptions {
  readonly rooms: number;
  /** Per room, as are publishers. */
  readonly members: number;
  /** Default: as many as the load needs; see `planBench`. */
  readonly publishers?: number;
  readonly outside?: boolean;
  /** Bytes. */
  readonly payload: number;
  /** Default, without a rate: 64, or with `cut` a rate that the history of a room has room for. */
  readonly inFlight?: number;
  /** Publishes a second, of all publishers; takes the place of `inFlight`. */
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

/** A payload says of which room and publisher it is in so many numbers. */
const MAX_INDEX = 2 ** 15;
/** The longest string whose length MessagePack gives in two bytes: what the driver reads. */
const MAX_PAYLOAD_BYTES = 2 ** 16 - 1;
const MAX_MEMBERS = 1_000_000;
const MAX_IN_FLIGHT = 1_000_000;
const MAX_PROCESSES = 256;
const MAX_SECONDS = 86_400;
const MAX_RATE = 10_000_000;

const EXAMPLES = `
Examples:
  roomcast bench                                        one room of 100 on ws://localhost:8080/ws, as fast as it goes
  roomcast bench wss://rooms.example.com --rate 50      50 publishes a second: what latency do members see
  roomcast bench --rooms 500 --members 10 --processes 2 many small rooms, from two driver processes
  roomcast bench ws://node1:8080 ws://node2:8080        two nodes without a balancer: members of each room on both
  roomcast bench --cut                                  all links are cut on the way: is everything delivered
  roomcast bench --members 5000 --connect-rate 200      connections come at 200 a second
  roomcast bench --json > result.json                   for scripts

Exit code 0: everything was delivered once and in order, without errors. 1: not so, or it could not run.
It publishes real messages, in rooms of its own; they stay for as long as the history of such rooms is kept.`;

export function addBenchOptions(command: Command): Command {
  return command
    .argument(
      '[url...]',
      'ws, wss, http or https; several are dealt out in turn (default: ws://localhost:8080/ws)',
      appendedUrl,
    )
    .option('--rooms <n>', 'rooms', whole(1, MAX_INDEX), 1)
    .option('--members <n>', 'members of each room, a connection each', whole(1, MAX_MEMBERS), 100)
    .option(
      '--publishers <n>',
      'connections per room that publish (default: as many as the load needs)',
      whole(1, MAX_INDEX),
    )
    .option('--outside', 'publishers are not members, but connections of their own')
    .option(
      '--payload <bytes>',
      `size of a message, at least ${PAYLOAD_HEAD_BYTES}`,
      whole(PAYLOAD_HEAD_BYTES, MAX_PAYLOAD_BYTES),
      128,
    )
    .option(
      '--in-flight <n>',
      'as fast as it goes, with so many publishes on their way (default: 64)',
      whole(1, MAX_IN_FLIGHT),
    )
    .addOption(
      new Option(
        '--rate <n>',
        'publishes a second in all, whatever comes back; latency from when each was due',
      )
        .argParser(positive(MAX_RATE))
        .conflicts('inFlight'),
    )
    .option(
      '--ramp <seconds>',
      'begin at none and reach --rate in so many seconds; there is no warm-up then',
      positive(MAX_SECONDS),
    )
    .option(
      '--connect-rate <n>',
      'new connections a second (default: as fast as it goes)',
      positive(MAX_RATE),
    )
    .option('--seconds <n>', 'how long to measure', positive(MAX_SECONDS), 10)
    .option('--warm-up <seconds>', 'load before that which is not counted; 0 for none', upTo(MAX_SECONDS), 2)
    .option('--processes <n>', 'driver processes; one is limited to one core', whole(1, MAX_PROCESSES), 1)
    .addOption(
      new Option('--encoding <name>', 'what members speak')
        .choices(['msgpack', 'json'] satisfies Encoding[])
        .default('msgpack'),
    )
    .addOption(
      new Option('--token <token>', 'token to connect with, where nodes ask for one').conflicts('tokenFile'),
    )
    .option('--token-file <file>', 'the same from a file, out of sight of other processes')
    .option('--room-prefix <text>', 'rooms are called this and a number', 'bench:')
    .option(
      '--cut',
      'cut all members off after a third of the time, for 2 s: is everything delivered. Implies --outside, and unless told otherwise a rate of 20 for each room',
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

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function upTo(most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value <= most) return value;
    throw new InvalidArgumentError(`It must be a number from 0 to ${most}.`);
  };
}

function positive(most: number): (text: string) => number {
  return (text) => {
    const value = upTo(most)(text);
    if (value > 0) return value;
    throw new InvalidArgumentError('It must be more than 0.');
  };
}
