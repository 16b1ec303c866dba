/** What a scrape of the metrics costs, and how it affects deliveries at the same time. */
import type { Phase } from '../../src/load/phase.ts';
import type { Shot, Volley } from '../server/autocannon-run.ts';
import { Cannon } from '../server/cannon.ts';
import type { Contender } from '../server/contender.ts';
import { type Cost, Meter } from './conditions.ts';
import { COLUMNS, checksOf, PAYLOAD_BYTES, trial } from './load-shape.ts';
import { onServer, type Stage } from './on-server.ts';
import type { BenchOptions, Column, Shape, Trial } from './scenario.ts';

const NAME = 'metrics';
const SCRAPERS = 10;
const GENTLY_PER_SECOND = 10;
const AUDIENCE = {
  ...{ rooms: 1, membersPerRoom: 100, publishersPerRoom: 1, publishersJoin: true },
  payloadBytes: PAYLOAD_BYTES,
};
const LOAD = { kind: 'open', perSecond: 20 } as const;

const PER_SCRAPE: Column = { head: 'us/scrape', figure: 'serverUsPerScrape', digits: 0 };
const COLUMNS_OF_SCRAPES: readonly Column[] = [
  { head: 'scrapes/s', figure: 'scrapesPerSecond', digits: 0, kind: 'limited' },
  { head: 'scrape p50 us', figure: 'scrapeP50', digits: 0, kind: 'limited' },
  { head: 'scrape p99 us', figure: 'scrapeP99', digits: 0, kind: 'limited' },
  { head: 'delivery p99 us', figure: 'p99', digits: 0, kind: 'limited' },
  { head: 'without scrapes', figure: 'p99Unscraped', digits: 0, kind: 'limited' },
  COLUMNS.server,
  COLUMNS.driver,
];

export const METRICS: Shape = {
  name: NAME,
  what: `${SCRAPERS} scrapers: without a pause for the cost, ${GENTLY_PER_SECOND} scrapes/s for the deliveries (1 room x 100 members, 20 publishes/s)`,
  rows: ['roomcast', 'roomcast-redis'],
  control: 'roomcast',
  headline: PER_SCRAPE,
  columns: COLUMNS_OF_SCRAPES,
  run,
};

function run(contender: Contender, options: BenchOptions): Promise<Trial> {
  return onServer(contender, AUDIENCE, options, async (stage) => {
    const { host, port } = stage.server.targets[0]!;
    const plan = { url: `http://${host}:${port}/metrics`, connections: SCRAPERS, messages: null };
    const cannon = new Cannon(options.cores.drivers[0]!, plan);
    try {
      await stage.driver.open();
      await scraped(stage, cannon, { seconds: options.warmUpSeconds });
      return await measure(stage, cannon, contender.name, options);
    } finally {
      await cannon.close();
    }
  });
}

/** The same load three times: alone, with occasional scrapes, and with as many scrapes as possible. */
async function measure(stage: Stage, cannon: Cannon, row: string, { seconds }: BenchOptions): Promise<Trial> {
  const meter = new Meter(stage.server);
  const alone = await stage.driver.run(LOAD, seconds);
  const aloneCost = meter.end(alone.driverUs);
  const gently = await scraped(stage, cannon, { seconds, perSecond: GENTLY_PER_SECOND });
  const full = await scraped(stage, cannon, { seconds });
  return toTrial(row, { alone, aloneCost, gently, full });
}

interface Scraped {
  /** Includes the scrapers' time and errors: both are the driver's. */
  readonly phase: Phase;
  readonly volley: Volley;
  readonly cost: Cost;
}

async function scraped({ server, driver }: Stage, cannon: Cannon, shot: Shot): Promise<Scraped> {
  const meter = new Meter(server);
  const volleys: Volley[] = [];
  const phase = await driver.run(LOAD, 0, async () => {
    volleys.push(await cannon.fire(shot));
  });
  const volley = volleys[0]!;
  const driverUs = phase.driverUs + volley.cpuUs;
  const cost = meter.end(driverUs);
  const trouble = phase.trouble + volley.refused;
  const firstTrouble = volley.firstRefusal ?? phase.firstTrouble;
  const driverShare = driverUs / (phase.seconds * 1e6);
  return { phase: { ...phase, driverUs, driverShare, trouble, firstTrouble }, volley, cost };
}

interface Measured {
  readonly alone: Phase;
  readonly aloneCost: Cost;
  readonly gently: Scraped;
  readonly full: Scraped;
}

/** The latencies are those with occasional scrapes, the rest those with as many as possible. */
function toTrial(row: string, { alone, aloneCost, gently, full }: Measured): Trial {
  const { phase, volley, cost } = full;
  const loadUs = (aloneCost.serverUs / alone.seconds) * phase.seconds;
  const voidBecause = aloneCost.voidBecause ?? gently.cost.voidBecause ?? cost.voidBecause;
  const measured = trial(
    NAME,
    row,
    phase,
    { ...cost, voidBecause },
    {
      serverUsPerScrape: (cost.serverUs - loadUs) / volley.accepted,
      scrapesPerSecond: volley.accepted / volley.seconds,
      scrapeP50: volley.latencyUs.p50,
      scrapeP99: volley.latencyUs.p99,
      ...gently.phase.latencyUs,
      p99Unscraped: alone.latencyUs.p99,
      serverShare: cost.serverUs / phase.seconds / 1e6,
      driverShare: phase.driverShare,
    },
  );
  return { ...measured, checks: checksOf(phase, alone, gently.phase) };
}
