/** Shapes in which a backend publishes over HTTP while members listen: what a request costs the server. */
import type { Driver } from '../../src/load/driver.ts';
import type { Phase } from '../../src/load/phase.ts';
import type { Shot, Volley } from '../server/autocannon-run.ts';
import { Cannon } from '../server/cannon.ts';
import type { Contender } from '../server/contender.ts';
import { type Cost, Meter } from './conditions.ts';
import { COLUMNS, PAYLOAD_BYTES, trial } from './load-shape.ts';
import { onServer } from './on-server.ts';
import type { BenchOptions, Column, Goal, Shape, Trial } from './scenario.ts';

const ROOMS = 10;
const MEMBERS_PER_ROOM = 10;
const CONNECTIONS = 100;
/** Basis for a rate, before the warm-up proper. */
const FIRST_REQUESTS = 2000;
/** How long deliveries may take once all requests are answered. */
const PATIENCE_MS = 3000;
const GLANCE_MS = 20;

const PER_REQUEST: Column = { head: 'us/request', figure: 'serverUsPerRequest', digits: 1 };
export const PER_MESSAGE: Column = { head: 'us/message', figure: 'serverUsPerMessage', digits: 1 };
export const REQUESTS: Column = { head: 'req/server s', figure: 'requestsPerServerSecond', digits: 0 };
const RATE: Column = { head: 'req/s', figure: 'requestsPerSecond', digits: 0, kind: 'limited' };
const REDIS: Column = { head: 'redis us/req', figure: 'redisUsPerRequest', digits: 1 };
const { server, driver, p50, p99 } = COLUMNS;
const USUAL = [REQUESTS, RATE, p50, p99, REDIS, server, driver];

export interface HttpShapePlan {
  readonly name: string;
  readonly what: string;
  readonly rows: readonly string[];
  readonly control: string;
  readonly headline?: Column;
  readonly goals?: readonly Goal[];
  /** Messages in a request; null for a single message without a list. */
  readonly batch: number | null;
}

export function httpShape(plan: HttpShapePlan): Shape {
  const { name, what, rows, control, headline = PER_REQUEST, goals = [] } = plan;
  return {
    name,
    what,
    rows,
    control,
    headline,
    columns: USUAL,
    goals,
    run: (row, options) => run(plan, row, options),
  };
}

function run(plan: HttpShapePlan, contender: Contender, options: BenchOptions): Promise<Trial> {
  const audience = {
    ...{ rooms: ROOMS, membersPerRoom: MEMBERS_PER_ROOM, publishersPerRoom: 0 },
    ...{ publishersJoin: true, payloadBytes: PAYLOAD_BYTES },
  };
  return onServer(contender, audience, options, async ({ server, driver }) => {
    await driver.open();
    const { host, port } = server.targets[0]!;
    const range = new Range(driver, { ...plan, contender, origin: `http://${host}:${port}`, options });
    try {
      const first = await range.fire(FIRST_REQUESTS);
      const { volley } = await range.fire(options.warmUpSeconds * rateOf(first.volley));
      const meter = new Meter(server);
      const measured = await range.fire(options.seconds * rateOf(volley));
      return toTrial(plan, contender.name, measured, meter.end(measured.phase.driverUs));
    } finally {
      await range.close();
    }
  });
}

interface Firing {
  readonly volley: Volley;
  /** What the members received, with autocannon's time and errors: both are the driver's. */
  readonly phase: Phase;
}

interface RangePlan extends HttpShapePlan {
  readonly contender: Contender;
  readonly origin: string;
  readonly options: BenchOptions;
}

/** autocannon on one side, members on the other. */
class Range {
  readonly #driver: Driver;
  readonly #cannon: Cannon;
  readonly #messagesPerRequest: number;

  constructor(driver: Driver, { batch, contender, origin, options }: RangePlan) {
    const body = contender.http;
    if (body === undefined) throw new Error(`${contender.name} does not accept publishes over HTTP`);
    const path = body === 'plain' ? '/publish' : batch === null ? '/v1/publish' : '/v1/publish/batch';
    const messages = { body, rooms: ROOMS, payloadBytes: PAYLOAD_BYTES, batch };
    const plan = { url: `${origin}${path}`, connections: CONNECTIONS, messages };
    this.#driver = driver;
    this.#messagesPerRequest = batch ?? 1;
    this.#cannon = new Cannon(options.cores.drivers[0]!, plan);
  }

  /** Sends this many requests, and waits for everything that they should deliver. */
  async fire(requests: number): Promise<Firing> {
    const shot: Shot = { requests: Math.max(CONNECTIONS, Math.round(requests)) };
    const volleys: Volley[] = [];
    // There are no publishers among the members: they count, and apply no load.
    const phase = await this.#driver.run({ kind: 'closed', inFlight: 0 }, 0, async () => {
      const volley = await this.#cannon.fire(shot);
      volleys.push(volley);
      await delivered(this.#driver, this.#expected(volley));
    });
    const volley = volleys[0]!;
    return { volley, phase: together(phase, volley, this.#expected(volley)) };
  }

  close(): Promise<void> {
    return this.#cannon.close();
  }

  #expected({ accepted }: Volley): number {
    return accepted * this.#messagesPerRequest * MEMBERS_PER_ROOM;
  }
}

/** Resolves when this much has arrived, or will not. */
async function delivered(driver: Driver, expected: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline && (await driver.progress()).delivered < expected)
    await new Promise((resolve) => setTimeout(resolve, GLANCE_MS));
}

function together(phase: Phase, volley: Volley, expected: number): Phase {
  const driverUs = phase.driverUs + volley.cpuUs;
  return {
    ...phase,
    seconds: volley.seconds,
    driverUs,
    driverShare: driverUs / (volley.seconds * 1e6),
    lost: Math.max(0, expected - phase.delivered + phase.repeated),
    trouble: phase.trouble + volley.refused,
    firstTrouble: volley.firstRefusal ?? phase.firstTrouble,
  };
}

function rateOf({ accepted, seconds }: Volley): number {
  return accepted / seconds;
}

function toTrial({ name, batch }: HttpShapePlan, row: string, { volley, phase }: Firing, cost: Cost): Trial {
  const { serverUs, redisUs } = cost;
  const { accepted, seconds, latencyUs } = volley;
  return trial(name, row, phase, cost, {
    serverUsPerRequest: serverUs / accepted,
    serverUsPerMessage: serverUs / accepted / (batch ?? 1),
    requestsPerServerSecond: accepted / (serverUs / 1e6),
    requestsPerSecond: rateOf(volley),
    redisUsPerRequest: redisUs === 0 ? Number.NaN : redisUs / accepted,
    deliveries: phase.delivered,
    deliveryP99: phase.latencyUs.p99,
    serverShare: serverUs / seconds / 1e6,
    driverShare: phase.driverShare,
    ...latencyUs,
  });
}
