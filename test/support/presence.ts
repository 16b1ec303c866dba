/** What a node's presence told it, and members by the dozen. */
import type { Backplane } from '../../src/backplane/backplane.ts';
import type { OwnEntry, PresenceChange, PresenceEvents } from '../../src/backplane/presence.ts';
import type { Running } from './backplanes.ts';
import { waitFor } from './wait.ts';

export class PresenceHeard implements PresenceEvents {
  readonly #changes = new Map<string, PresenceChange[]>();
  losses = 0;
  /** What the node does then, as a real one would: enter its members again. */
  onLost: () => void = () => undefined;

  changed(room: string, changes: readonly PresenceChange[]): void {
    this.#changes.set(room, [...this.of(room), ...changes]);
  }

  leaseLost(): void {
    this.losses++;
    this.onLost();
  }

  of(room: string): PresenceChange[] {
    return this.#changes.get(room) ?? [];
  }

  /** The changes of a room as `+connection count`, `-connection count` and `=connection count`. */
  lines(room: string): string[] {
    return this.of(room).map(lineOf);
  }

  /** Resolves when that many changes of the room have arrived. */
  async untilChanges(room: string, count: number, timeoutMs = 5_000): Promise<string[]> {
    await waitFor(() => this.of(room).length >= count, { for: `${count} changes of ${room}`, timeoutMs });
    return this.lines(room);
  }
}

const SIGNS = { joined: '+', left: '-', changed: '=' } as const;

function lineOf({ change, who, count }: PresenceChange): string {
  return `${SIGNS[change]}${who.connection} ${count}`;
}

export interface PresentNode<B extends Backplane = Backplane> extends Running<B> {
  readonly presence: PresenceHeard;
}

/** Starts the presence of a backplane that runs. */
export async function startPresence<B extends Backplane>(running: Running<B>): Promise<PresentNode<B>> {
  const presence = new PresenceHeard();
  await running.backplane.presence.start(presence);
  return { ...running, presence };
}

/** The entry of a node's connection, as nodes name them. */
export function entryOf(
  { nodeId }: { readonly nodeId: string },
  number: number,
  user: string | null = null,
): OwnEntry {
  return { connection: `${nodeId}-${number}`, user };
}

/** Enters connections 1 to `count` of a node. */
export function enterMany(node: PresentNode, room: string, count: number, announce = true): void {
  for (let n = 1; n <= count; n++) node.backplane.presence.enter(room, entryOf(node, n, `u${n}`), announce);
}
