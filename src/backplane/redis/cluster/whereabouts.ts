/** Whether links to a server stay where they are although the map names another address. */
import type { Logger } from '../../../util/log.ts';
import { shownAddress } from '../../../util/redis-url.ts';
import type { ServerAddress } from '../link/replication.ts';
import type { Master } from './slot-map.ts';

export class Whereabouts {
  readonly #log: Logger;
  /**
   * Addresses that led nowhere and were left for another one, the last one by the id of the server. The server may go on announcing
   * it: then a node would go there and back every few seconds.
   */
  readonly #dead = new Map<string, string>();
  /** Each pair of addresses is told once. */
  readonly #told = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * A server's own word counts at once: others name its former address until they hear of the new one. What others say, and an address that
   * led nowhere, count only if the server cannot be called at `used`.
   */
  stays(used: ServerAddress, told: Master, works: () => boolean): boolean {
    const [address, announced] = [shownAddress(used), shownAddress(told)];
    if (address === announced) return true;
    if (told.isOwnWord && this.#dead.get(told.id) !== announced) return false;
    if (!works()) {
      this.#dead.set(told.id, address);
      return false;
    }
    if (told.isOwnWord) this.#tell(address, announced);
    return true;
  }

  #tell(address: string, announced: string): void {
    const pair = `${address} ${announced}`;
    if (this.#told.has(pair)) return;
    this.#told.add(pair);
    this.#log.warn(
      { address, announced },
      'this server announces an address at which it cannot be reached, and is used at the one that others name: set its cluster-announce-ip and cluster-announce-port',
    );
  }
}
