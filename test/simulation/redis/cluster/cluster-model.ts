/** A Redis Cluster: several model servers that tell each other who has which slots. */
import { type Bus, ClusterServer } from './cluster-server.ts';
import { SLOTS } from './view.ts';

export interface ClusterModelOptions {
  readonly masters: number;
  /** Of each master. */
  readonly replicas: number;
  /** Where a server is, by number. */
  place(number: number): { readonly host: string; readonly port: number };
  /** The clock of a server. */
  nowMicros(number: number): number;
  /** Calls `arrived` when a message of one server has reached another: in order, for each two. Default: at once. */
  send?(from: ClusterServer, to: ClusterServer, arrived: () => void): void;
  /** A replica begins to follow: `sync` when it has everything. Default: at once. */
  follows?(replica: ClusterServer, master: ClusterServer, sync: () => void): void;
}

export class ClusterModel implements Bus {
  readonly servers: ClusterServer[] = [];
  readonly #options: ClusterModelOptions;

  constructor(options: ClusterModelOptions) {
    this.#options = options;
    const { masters, replicas } = options;
    for (let number = 0; number < masters * (1 + replicas); number++) this.#spawn();
    this.servers.slice(0, masters).forEach((server, i) => {
      const [first, end] = [i, i + 1].map((share) => Math.round((share * SLOTS) / masters));
      server.view.owners.fill(i, first, end);
      server.view.me.epoch = i + 1;
      server.view.currentEpoch = i + 1;
    });
    this.#meet();
    for (const server of this.servers.slice(masters)) {
      const master = this.servers[server.number % masters]!;
      server.becomeReplicaOf(master.number);
      server.synced(master.redis);
    }
    this.#meet();
  }

  /** One more master, without slots. */
  add(): ClusterServer {
    const server = this.#spawn();
    this.#meet();
    return server;
  }

  at(host: string, port?: number): ClusterServer | undefined {
    return this.servers.find((server) => server.host === host && (port ?? server.port) === server.port);
  }

  replicasOf(master: ClusterServer): ClusterServer[] {
    return this.servers.filter(({ view }) => view.me.master === master.number);
  }

  /** The master that has a slot by right: of all claims the one with the highest epoch. */
  owner(slot: number): ClusterServer | null {
    let best: ClusterServer | null = null;
    for (const server of this.servers) {
      if (!server.isMaster || server.view.owners[slot] !== server.number) continue;
      if (best === null || server.view.me.epoch > best.view.me.epoch) best = server;
    }
    return best;
  }

  /** CLUSTER FAILOVER, from the moment that the replica has everything. The master pauses until it hears of it. */
  handOver(replica: ClusterServer, master: ClusterServer): void {
    master.redis.pause();
    replica.takeOver(master.redis.keys.copy(), master.redis.offset);
  }

  send(from: ClusterServer, to: ClusterServer, arrived: () => void): void {
    if (this.#options.send === undefined) arrived();
    else this.#options.send(from, to, arrived);
  }

  follows(replica: ClusterServer, master: ClusterServer): void {
    const sync = () => replica.synced(master.redis);
    if (this.#options.follows === undefined) sync();
    else this.#options.follows(replica, master, sync);
  }

  #spawn(): ClusterServer {
    const number = this.servers.length;
    const nowMicros = () => this.#options.nowMicros(number);
    const place = this.#options.place(number);
    const server = new ClusterServer({ number, ...place, nowMicros, name: `redis-${number}` }, this);
    this.servers.push(server);
    return server;
  }

  /** Everybody knows everybody, whatever the way between them is like. */
  #meet(): void {
    for (const server of this.servers) {
      const header = server.view.header();
      for (const other of this.servers) if (other !== server) other.heard(header);
    }
  }
}
