/**
 * Which master has which slots of a Redis Cluster, according to the CLUSTER NODES replies of its servers. A server may be behind, cut
 * off, or not know that it was replaced. But each claim of slots has a configuration epoch, and a server that takes slots gets a higher
 * epoch than all before. So the claim with the highest epoch is right, in whatever order the answers come. A claim is remembered even if
 * later answers do not have it: those servers may not have heard of it yet.
 */
import { MAX_PUBLISHED_ON } from '../../envelope.ts';
import { SLOTS } from '../keys/slots.ts';

/** One server, as servers name it. */
export interface ClusterServer {
  /** 40 hexadecimal digits, for as long as the server lives. */
  readonly id: string;
  /** Address; `hostname` is what it announces besides, or ''. */
  readonly host: string;
  readonly hostname: string;
  readonly port: number;
}

export interface Master extends ClusterServer {
  /** It said so itself: others may have yet to hear where it is now. */
  readonly isOwnWord: boolean;
  /** Of its claims. */
  readonly epoch: number;
  /** Ids of the servers that follow it. */
  readonly replicas: readonly string[];
}

/** What one server said. */
export interface ClusterView {
  /** Whose view it is. */
  readonly self: string;
  readonly lines: readonly NodeLine[];
  /** It says that the cluster is down, as where it has no majority or some slots have no master. */
  readonly isDown: boolean;
}

export interface NodeLine extends ClusterServer {
  readonly isSelf: boolean;
  readonly isMaster: boolean;
  /** It has failed, in the opinion of the majority. */
  readonly hasFailed: boolean;
  readonly masterId: string | null;
  readonly epoch: number;
  /** First and last of each range, without those that are on their way. */
  readonly slots: readonly (readonly [first: number, last: number])[];
}

const NOBODY = -1;

export class SlotMap {
  /** Those that have slots. */
  readonly masters: readonly Master[];
  /** What is known of all servers of the cluster, by their ids. */
  readonly servers: ReadonlyMap<string, NodeLine>;
  /** Ids of masters that say that the cluster is down. */
  readonly down: ReadonlySet<string>;
  readonly #owners: Int16Array;

  constructor(
    masters: readonly Master[],
    owners: Int16Array,
    servers: ReadonlyMap<string, NodeLine>,
    down: ReadonlySet<string>,
  ) {
    this.masters = masters;
    this.#owners = owners;
    this.servers = servers;
    this.down = down;
  }

  /** Null if nobody has it. */
  owner(slot: number): Master | null {
    return this.masters[this.#owners[slot]!] ?? null;
  }
}

/** The reply to CLUSTER NODES; `asked` is where it came from, for a server that does not know its own address. */
export function parseView(nodes: string, info: string, asked: { readonly host: string }): ClusterView {
  const lines = nodes
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseLine(line.trim(), asked.host));
  const self = lines.find(({ isSelf }) => isSelf)?.id ?? '';
  return { self, lines, isDown: /^cluster_state:fail/m.test(info) };
}

/** `<id> <host:port@bus[,hostname]> <flags> <master> <ping> <pong> <epoch> <state> <slots>…` */
function parseLine(line: string, askedHost: string): NodeLine {
  const [id = '', where = '', flagList = '', master = '-', , , epoch = '0', , ...ranges] = line.split(' ');
  const [endpoint = '', hostname = ''] = where.split(',');
  const [, host = '', port = '0'] = /^(.*):(\d+)(?:@\d+)?$/.exec(endpoint) ?? [];
  const flags = flagList.split(',');
  return {
    id,
    host: host === '' ? askedHost : host,
    hostname,
    port: Number(port),
    isSelf: flags.includes('myself'),
    isMaster: flags.includes('master'),
    hasFailed: flags.includes('fail'),
    masterId: master === '-' ? null : master,
    epoch: Number(epoch),
    // `[93->-id]` and `[93-<-id]` are slots on their way.
    slots: ranges.filter((range) => /^\d/.test(range)).map(parseRange),
  };
}

function parseRange(range: string): readonly [number, number] {
  const [first, last = first] = range.split('-').map(Number) as [number, number?];
  return [first, last];
}

/** The map that these views show together, and what was known `before`. */
export function mergeViews(views: readonly ClusterView[], before: SlotMap | null = null): SlotMap {
  const best = bestLines(views);
  for (const [id, line] of before?.servers ?? []) {
    const now = best.get(id);
    // The cluster still knows it, and nobody who was asked has heard of its newest claim.
    if (now !== undefined && !now.isSelf && line.epoch > now.epoch) best.set(id, line);
  }
  addAddresses(best, views, before);
  const claims = [...best.values()].filter(({ isMaster, slots }) => isMaster && slots.length > 0);
  // The highest claim is written last.
  claims.sort((a, b) => a.epoch - b.epoch || (a.id < b.id ? -1 : 1));
  const owners = new Int16Array(SLOTS).fill(NOBODY);
  claims.forEach(({ slots }, index) => {
    for (const [first, last] of slots) owners.fill(index, first, last + 1);
  });
  const masters = claims.map(({ id, host, hostname, port, epoch, isSelf }) => ({
    ...{ id, host, hostname, port, epoch, isOwnWord: isSelf },
    replicas: [...best.values()].filter(({ masterId }) => masterId === id).map((line) => line.id),
  }));
  return withoutIdle(masters, owners, best, views);
}

/** What is known of each server: what it says itself, or else what the server says that has heard of its newest epoch. */
function bestLines(views: readonly ClusterView[]): Map<string, NodeLine> {
  const best = new Map<string, NodeLine>();
  for (const { lines } of views) {
    for (const line of lines) {
      const known = best.get(line.id);
      const isBetter = known === undefined || line.isSelf || (!known.isSelf && line.epoch > known.epoch);
      if (isBetter) best.set(line.id, line);
    }
  }
  return best;
}

/**
 * When another server takes over the address of a server, some servers may know its id for good but not its new address (`noaddr`). The
 * address then comes from others, or from before.
 */
function addAddresses(
  best: Map<string, NodeLine>,
  views: readonly ClusterView[],
  before: SlotMap | null,
): void {
  for (const [id, line] of best) {
    if (line.port !== 0) continue;
    const said = views.flatMap(({ lines }) => lines.filter((one) => one.id === id && one.port !== 0));
    const placed = said.sort((a, b) => b.epoch - a.epoch)[0] ?? before?.servers.get(id);
    if (placed === undefined) continue;
    const { host, hostname, port } = placed;
    best.set(id, { ...line, host, hostname, port });
  }
}

/** A master whose slots others have claimed since has none. */
function withoutIdle(
  claimants: readonly Master[],
  owners: Int16Array,
  servers: ReadonlyMap<string, NodeLine>,
  views: readonly ClusterView[],
): SlotMap {
  const masters = claimants.filter((_, index) => owners.includes(index));
  const places = claimants.map((master) => masters.indexOf(master));
  // Nearly always nobody is idle.
  const areSame = masters.length === claimants.length;
  const compact = areSame ? owners : owners.map((owner) => (owner === NOBODY ? NOBODY : places[owner]!));
  const down = new Set(views.filter(({ isDown }) => isDown).map(({ self }) => self));
  return new SlotMap(masters, compact, servers, down);
}

/**
 * The views of the known cluster only. A server that lost its disk, or whose address now belongs to another cluster, names none of its
 * masters.
 */
export function viewsOf(known: SlotMap, views: readonly ClusterView[]): ClusterView[] {
  const masters = new Set(known.masters.map(({ id }) => id));
  return views.filter(({ lines }) => lines.some(({ id }) => masters.has(id)));
}

/** A server by its id, for `Envelope.publishedOn`. That two have the same is unlikely, and lets some copies pass. */
export function serverNumber(id: string): number {
  return (Number.parseInt(id.slice(0, 8), 16) % MAX_PUBLISHED_ON) + 1;
}

/** Whether `heir` took over all of the slots that `master` had, as its replica: then it may lack writes, and `master` may be frozen. */
export function isFailover(before: SlotMap, after: SlotMap, master: Master): boolean {
  if (after.masters.some(({ id }) => id === master.id)) return false;
  for (let slot = 0; slot < SLOTS; slot++) {
    if (before.owner(slot)?.id !== master.id) continue;
    const heir = after.owner(slot);
    if (heir !== null && master.replicas.includes(heir.id)) return true;
  }
  return false;
}
