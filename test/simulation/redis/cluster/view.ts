/** What one server of a cluster knows of all of them: who has which slots, who follows whom, who has failed. */

export const SLOTS = 16_384;
export const NOBODY = -1;

/** A server, as any of them knows it. Servers have numbers, from 0. */
export interface Known {
  readonly number: number;
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Of whom it is a replica, by number; null for a master. */
  master: number | null;
  /** Configuration epoch of its claims. */
  epoch: number;
  hasFailed: boolean;
}

/** What a server says of itself to others, with each message. */
export interface Header {
  readonly sender: Pick<Known, 'number' | 'id' | 'host' | 'port'>;
  readonly master: number | null;
  /** Of its claims, or of those of its master. */
  readonly epoch: number;
  readonly currentEpoch: number;
  /** What it claims: nothing if it is a replica. */
  readonly slots: readonly number[];
}

export class View {
  readonly self: number;
  readonly known = new Map<number, Known>();
  /** By slot: the number of its master. */
  readonly owners = new Int16Array(SLOTS).fill(NOBODY);
  /** Slots that their owner does not claim any more: nobody is told that it has them, and who claims them gets them. */
  readonly unclaimed = new Set<number>();
  /** Slots that leave for another server, or come from one: by number. */
  readonly migrating = new Map<number, number>();
  readonly importing = new Map<number, number>();
  currentEpoch = 0;
  /** It says that the cluster is down. */
  isDown = false;
  #text: string | null = null;
  #info: string | null = null;
  #masters: readonly Known[] | null = null;

  constructor(self: number) {
    this.self = self;
  }

  get me(): Known {
    return this.known.get(this.self)!;
  }

  /** The master of its shard: itself, or whom it follows. */
  get shard(): number {
    return this.me.master ?? this.self;
  }

  get highestEpoch(): number {
    return Math.max(this.currentEpoch, ...[...this.known.values()].map(({ epoch }) => epoch));
  }

  slotsOf(number: number): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) if (this.owners[slot] === number) slots.push(slot);
    return slots;
  }

  /** Whether it has any. */
  hasSlots(number: number): boolean {
    return this.owners.includes(number);
  }

  /** Masters that have slots: whose votes count. */
  get masters(): readonly Known[] {
    this.#masters ??= [...this.known.values()].filter(
      ({ number, master }) => master === null && this.hasSlots(number),
    );
    return this.#masters;
  }

  /** Of its claims, or of those of its master. */
  get epoch(): number {
    const { master, epoch } = this.me;
    return master === null ? epoch : (this.known.get(master)?.epoch ?? 0);
  }

  header(): Header {
    const { number, id, host, port, master } = this.me;
    return {
      sender: { number, id, host, port },
      master,
      epoch: this.epoch,
      currentEpoch: this.currentEpoch,
      slots: master === null ? this.slotsOf(number) : [],
    };
  }

  /** After each change: what it says of them is made anew. */
  changed(): void {
    this.#text = null;
    this.#info = null;
    this.#masters = null;
  }

  /** The reply to CLUSTER NODES. */
  nodes(): string {
    this.#text ??= this.#describe();
    return this.#text;
  }

  /** The reply to CLUSTER INFO. */
  info(): string {
    this.#info ??= this.#count();
    return this.#info;
  }

  #count(): string {
    let assigned = 0;
    for (let slot = 0; slot < SLOTS; slot++) if (this.owners[slot] !== NOBODY) assigned++;
    const fields = {
      cluster_enabled: 1,
      cluster_state: this.isDown ? 'fail' : 'ok',
      cluster_slots_assigned: assigned,
      cluster_known_nodes: this.known.size,
      cluster_size: this.masters.length,
      cluster_current_epoch: this.currentEpoch,
      cluster_my_epoch: this.epoch,
    };
    return Object.entries(fields)
      .map(([name, value]) => `${name}:${value}\r\n`)
      .join('');
  }

  #describe(): string {
    const ranges = this.#ranges();
    return [...this.known.values()]
      .map((one) => `${this.#line(one, ranges.get(one.number) ?? [])}\n`)
      .join('');
  }

  #line(one: Known, ranges: readonly string[]): string {
    const { number, id, host, port, master, hasFailed } = one;
    const flags = [
      ...(number === this.self ? ['myself'] : []),
      master === null ? 'master' : 'slave',
      ...(hasFailed ? ['fail'] : []),
    ];
    const followed = master === null ? undefined : this.known.get(master);
    const epoch = (followed ?? one).epoch;
    const words = [id, `${host}:${port}@${port + 10_000}`, flags.join(','), followed?.id ?? '-', 0, 0, epoch];
    const open = number === this.self ? this.#open() : [];
    return [...words, 'connected', ...ranges, ...open].join(' ');
  }

  #ranges(): Map<number, string[]> {
    const found = new Map<number, string[]>();
    for (let first = 0; first < SLOTS; ) {
      const owner = this.owners[first]!;
      let end = first + 1;
      while (end < SLOTS && this.owners[end] === owner) end++;
      const range = end - 1 === first ? `${first}` : `${first}-${end - 1}`;
      found.set(owner, [...(found.get(owner) ?? []), range]);
      first = end;
    }
    return found;
  }

  /** Slots on their way. */
  #open(): string[] {
    const shown = (mark: string) => (entry: [number, number]) =>
      `[${entry[0]}${mark}${this.known.get(entry[1])?.id}]`;
    return [...[...this.migrating].map(shown('->-')), ...[...this.importing].map(shown('-<-'))];
  }
}
