/**
 * Keeps the slot map: asks each master regularly, and all of them at once when something hints that slots have moved. It waits for
 * nobody: each answer is combined with the latest answers of the others.
 */
import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';
import { type ClusterView, mergeViews, type SlotMap, viewsOf } from './slot-map.ts';

/** What servers said that were found by their addresses. */
export interface FoundViews {
  readonly views: readonly ClusterView[];
  /** All that is configured names another cluster, and nobody the one that is known. */
  readonly isAnother: boolean;
}

export interface TopologyOptions {
  /** Servers that can be asked now, by any name that stays. */
  servers(): readonly string[];
  /** Rejects if it does not answer. */
  ask(server: string): Promise<ClusterView>;
  /** Where nobody can be asked: tries whatever address there is. */
  search(known: SlotMap): Promise<FoundViews>;
  /** Some partitions cannot be served: the next map may say who can. */
  isTroubled(): boolean;
  /** Another answer is in. */
  read(map: SlotMap): void;
}

const INTERVAL_MS = 1_000;
/** While something is not served. */
const TROUBLED_INTERVAL_MS = 100;

export class Topology {
  readonly #options: TopologyOptions;
  readonly #views = new Map<string, ClusterView>();
  /** By a search: older than what those say who can be asked. */
  #found: readonly ClusterView[] = [];
  /** Being asked; true: once more afterwards. */
  readonly #asking = new Map<string, boolean>();
  readonly #merging = new EndOfTurn(systemScheduler, () => this.#merge());
  #map: SlotMap | null = null;
  #timer: Timer | undefined;
  #askedAtMs = -Infinity;
  #isSearching = false;
  #isStopped = false;

  constructor(options: TopologyOptions) {
    this.#options = options;
  }

  /** With what the server said that was found first. */
  start(first: ClusterView): void {
    this.#found = [first];
    this.#timer = systemScheduler.every(TROUBLED_INTERVAL_MS, () => this.#tick());
    this.#merge();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Slots may have moved. */
  hint(): void {
    if (this.#isStopped) return;
    this.#askedAtMs = systemScheduler.nowMs();
    const servers = this.#options.servers();
    for (const known of this.#views.keys()) {
      if (!servers.includes(known)) this.#views.delete(known);
    }
    for (const server of servers) this.#ask(server);
    if (servers.length === 0) void this.#search();
  }

  #tick(): void {
    const sinceMs = systemScheduler.nowMs() - this.#askedAtMs;
    if (sinceMs >= INTERVAL_MS - TROUBLED_INTERVAL_MS / 2 || this.#options.isTroubled()) this.hint();
  }

  #ask(server: string): void {
    if (this.#asking.has(server)) return void this.#asking.set(server, true);
    this.#asking.set(server, false);
    this.#options
      .ask(server)
      .then(
        (view) => {
          this.#found = [];
          this.#views.set(server, view);
        },
        () => this.#views.delete(server),
      )
      .finally(() => {
        const isAskedAgain = this.#asking.get(server) === true;
        this.#asking.delete(server);
        this.#merging.request();
        if (isAskedAgain && !this.#isStopped && this.#options.servers().includes(server)) this.#ask(server);
      });
  }

  async #search(): Promise<void> {
    if (this.#isSearching || this.#map === null) return;
    this.#isSearching = true;
    const { views, isAnother } = await this.#options.search(this.#map);
    this.#isSearching = false;
    if (views.length === 0 || this.#isStopped) return;
    this.#found = views;
    if (isAnother) this.#map = null;
    this.#merging.request();
  }

  #merge(): void {
    if (this.#isStopped) return;
    const said = [...this.#views.values(), ...this.#found];
    const views = this.#map === null ? said : viewsOf(this.#map, said);
    const map = mergeViews(views, this.#map);
    // No server of the known cluster answered: the map stays as it is.
    if (map.masters.length === 0) return;
    this.#map = map;
    this.#options.read(map);
  }
}
