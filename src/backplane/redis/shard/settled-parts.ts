/** The partitions of one server of which it is known in which lineage their rooms go on, and what the server's run has stored. */
import { Evidence } from '../lineage/evidence.ts';
import type { Lineages } from '../lineage/lineages.ts';
import type { FoundServer, Part } from '../lineage/records.ts';
import type { Link } from '../link/link.ts';
import { type Replication, readReplication } from '../link/replication.ts';

export interface SettledPartsOptions {
  readonly lineages: Lineages;
  /** Of a server of a cluster: what it has now, and what the other masters say of their replication. */
  readonly has?: { parts(): readonly Part[]; others(): Promise<readonly Replication[]> };
}

export class SettledParts {
  readonly #options: SettledPartsOptions;
  readonly #command: Link;
  readonly #settled = new Set<Part>();
  /** Of the run that the command link reached last. */
  #evidence = new Evidence('');

  constructor(options: SettledPartsOptions, command: Link) {
    this.#options = options;
    this.#command = command;
  }

  get evidence(): Evidence {
    return this.#evidence;
  }

  has(part: Part): boolean {
    return this.#settled.has(part);
  }

  forget(parts: readonly Part[]): void {
    for (const part of parts) this.#settled.delete(part);
  }

  /** The command link reached a server: settles all that it has. `info`: the reply to INFO. */
  async settleAll(info: string, isCurrent: () => boolean): Promise<void> {
    const { lineages, has } = this.#options;
    this.#settled.clear();
    await this.settle(info, isCurrent, has?.parts() ?? lineages.all());
  }

  async settle(info: string, isCurrent: () => boolean, parts: readonly Part[]): Promise<void> {
    const { lineages, has } = this.#options;
    await lineages.settle({ ...this.#server, info, isCurrent }, parts, has?.others);
    this.#evidence = lineages.evidenceOf(readReplication(info).runId);
    for (const part of parts) this.#settled.add(part);
  }

  /** Looks whether they still go on as was settled; if not, the command link is made anew, and all is settled again. */
  async review(): Promise<void> {
    const { lineages, has } = this.#options;
    const server = { ...this.#server, isCurrent: this.#command.connection() };
    const parts = has === undefined ? lineages.all() : [...this.#settled];
    const outdated = await lineages.review(server, parts, has?.others);
    if (outdated !== null) this.#command.reconnect(outdated);
  }

  /** The one at the end of the command link now. */
  get #server(): Pick<FoundServer, 'redis' | 'isCluster' | 'address'> {
    const { redis, isCluster, remote } = this.#command;
    return { redis, isCluster, address: remote };
  }
}
