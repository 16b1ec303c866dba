/** Turns the options into the driver's plan. */
import type { Target } from '../../load/connection.ts';
import type { DriverPlan } from '../../load/driver.ts';
import type { LoadPlan } from '../../load/load.ts';
import type { OpeningPlan } from '../../load/opener.ts';
import { RESERVED_PREFIX, roomNameProblem } from '../../protocol/limits.ts';
import type { Encoding } from '../../protocol/subprotocol.ts';
import type { BenchOptions } from './options.ts';

export interface BenchPlan {
  /** As shown to people, without parts that may be secret. */
  readonly urls: readonly string[];
  readonly encoding: Encoding;
  readonly driver: DriverPlan;
  readonly opening: OpeningPlan;
  readonly load: LoadPlan;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly cut: boolean;
}

const DEFAULT_URL = new URL('ws://localhost:8080/ws');
const DEFAULT_PATH = '/ws';
/** Connections being opened at the same time. */
const AT_ONCE = 64;
/** Publishes in flight if no load is given. */
const IN_FLIGHT = 64;
/** Publishes a second and room with `--cut`: while members are away a room must keep what they miss. */
const CUT_RATE = 20;
/** Half of what a node sustains from one connection (`limits.commandsPerSecond`). */
const RATE_OF_ONE = 500;

const DIALECT: Readonly<Record<Encoding, string>> = {
  msgpack: new URL('../../load/roomcast-dialect.js', import.meta.url).href,
  json: new URL('../../load/roomcast-json-dialect.js', import.meta.url).href,
};

/** `token`: as given or read from a file. Returns everything that is wrong, or the plan. */
export function planBench(
  given: readonly URL[],
  options: BenchOptions,
  token: string | null,
): BenchPlan | { readonly problems: readonly string[] } {
  const urls = given.length === 0 ? [DEFAULT_URL] : given;
  const problems = problemsOf(urls, options);
  if (problems.length > 0) return { problems };
  const { rooms, members, payload, processes, encoding, roomPrefix, connectRate, cut = false } = options;
  const path = pathOf(urls[0]!);
  const load = loadOf(options);
  return {
    urls: urls.map((url) => `${wsProtocol(url)}//${url.host}${pathOf(url).replace(/\?.*/, '')}`),
    encoding,
    driver: {
      targets: urls.map(targetOf),
      dialect: {
        module: DIALECT[encoding],
        options: { payloadBytes: payload, path, ...(token === null ? {} : { token }) },
      },
      audience: {
        rooms,
        membersPerRoom: members,
        publishersPerRoom: publishersOf(options, load),
        publishersJoin: !isOutside(options),
        payloadBytes: payload,
        roomPrefix,
      },
      cores: Array.from({ length: processes }, () => null),
    },
    opening: { atOnce: AT_ONCE, perSecond: connectRate ?? null },
    load,
    seconds: options.seconds,
    warmUpSeconds: options.ramp === undefined ? options.warmUp : 0,
    cut,
  };
}

function problemsOf(urls: readonly URL[], options: BenchOptions): string[] {
  const { rooms, members, publishers, roomPrefix, rate, ramp } = options;
  const problems: string[] = [];
  if (new Set(urls.map(pathOf)).size > 1)
    problems.push('the URLs have different paths: nodes of a cluster share one path');
  if (publishers !== undefined && publishers > members && !isOutside(options)) {
    problems.push(`--publishers ${publishers} exceeds the ${members} members of a room: add --outside`);
  }
  if (ramp !== undefined && rate === undefined) problems.push('--ramp needs --rate, the rate to reach');
  const problem = /["\\]/.test(roomPrefix)
    ? 'must not contain quotes or backslashes'
    : roomPrefix.startsWith(RESERVED_PREFIX)
      ? `must not start with ${RESERVED_PREFIX}, which is reserved`
      : roomNameProblem(`${roomPrefix}${rooms - 1}`);
  if (problem !== null) problems.push(`--room-prefix: ${problem}`);
  return problems;
}

/** A member that is cut off cannot publish, and a message never sent says nothing about delivery. */
function isOutside({ outside = false, cut = false }: BenchOptions): boolean {
  return outside || cut;
}

/**
 * One publisher is too few: a node limits the commands a second of one connection. So by default there is
 * one for each publish in flight, or for each `RATE_OF_ONE` a second, as far as there are members.
 */
function publishersOf(options: BenchOptions, load: LoadPlan): number {
  const { rooms, members, publishers } = options;
  if (publishers !== undefined) return publishers;
  const wanted = Math.ceil((load.kind === 'closed' ? load.inFlight : load.perSecond / RATE_OF_ONE) / rooms);
  return isOutside(options) ? wanted : Math.min(members, wanted);
}

function loadOf({ rooms, inFlight, rate, ramp, cut = false }: BenchOptions): LoadPlan {
  const perSecond = rate ?? (cut && inFlight === undefined ? CUT_RATE * rooms : undefined);
  if (perSecond === undefined) return { kind: 'closed', inFlight: inFlight ?? IN_FLIGHT };
  return { kind: 'open', perSecond, ...(ramp === undefined ? {} : { rampSeconds: ramp }) };
}

function targetOf(url: URL): Target {
  const isSecure = wsProtocol(url) === 'wss:';
  const port = url.port === '' ? (isSecure ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, isSecure };
}

function wsProtocol({ protocol }: URL): string {
  return protocol.replace('http', 'ws');
}

function pathOf({ pathname, search }: URL): string {
  return `${pathname === '/' ? DEFAULT_PATH : pathname}${search}`;
}
