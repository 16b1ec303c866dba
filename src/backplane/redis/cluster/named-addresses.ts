/** Whether the servers of a cluster agree on where each of them is. */
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import { addressOf } from './first-view.ts';
import type { ClusterView } from './slot-map.ts';

/** A server that is named by more than one address. */
export interface NamedAddresses {
  /** What it says itself. Null: it was not asked. */
  readonly own: string | null;
  /** What others say, without that. */
  readonly others: readonly string[];
}

/** `seed`: whether names or addresses count, as with `addressOf`. */
export function disagreements(views: readonly ClusterView[], seed: RedisAddress): NamedAddresses[] {
  const named = new Map<string, { own: string | null; readonly all: Set<string> }>();
  for (const line of views.flatMap(({ lines }) => lines)) {
    // One that has no address any more was forgotten by its cluster.
    if (line.port === 0) continue;
    const known = named.get(line.id) ?? { own: null, all: new Set() };
    const address = shownAddress(addressOf(line, seed));
    if (line.isSelf) known.own = address;
    named.set(line.id, { ...known, all: known.all.add(address) });
  }
  return [...named.values()]
    .filter(({ all }) => all.size > 1)
    .map(({ own, all }) => ({ own, others: [...all].filter((address) => address !== own).sort() }));
}
