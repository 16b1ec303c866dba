/** Finds the primary that a promoted replica took over from, and asks whether it handed over everything. */
import type { Clock } from '../../../util/clock.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { type Replication, readReplication, type ServerAddress } from '../link/replication.ts';
import { provesHandover } from './decide.ts';
import type { LineageRecord } from './record.ts';

export interface FormerPrimaryOptions {
  readonly clock: Clock;
  /** Resolves with what the server at that address replies to INFO. Rejects if it does not answer soon. */
  info(address: ServerAddress): Promise<string>;
}

/** After a planned failover it follows the new primary within 60 ms (measured). Rooms wait for this answer. */
const WAIT_MS = 1_000;
/** For a former primary that answers and has written nothing more: on a busy machine it may take longer to follow. */
const WAIT_FOR_LIVING_MS = 3_000;
const POLL_MS = 25;

/** True and false: whether it proves that it handed over. */
type Answer = boolean | 'not yet' | 'silent' | 'another server' | 'nobody there' | Refusal;

/** It refused to answer, such as the login. */
interface Refusal {
  readonly refuses: string;
}

export class FormerPrimary {
  readonly #options: FormerPrimaryOptions;
  /** By run id: where this node reached primaries. */
  readonly #addresses = new Map<string, ServerAddress>();

  constructor(options: FormerPrimaryOptions) {
    this.#options = options;
  }

  remember(runId: string, address: ServerAddress): void {
    this.#addresses.set(runId, address);
  }

  /** Forgets all other processes. */
  keep(runIds: ReadonlySet<string>): void {
    for (const runId of this.#addresses.keys()) if (!runIds.has(runId)) this.#addresses.delete(runId);
  }

  /** The replication state of a process that this node knew as a primary; null if it does not answer. */
  async said(runId: string): Promise<Replication | null> {
    const address = this.#addresses.get(runId);
    if (address === undefined) return null;
    try {
      const said = readReplication(await this.#options.info(address));
      return said.runId === runId ? said : null;
    } catch {
      // It is gone, or out of reach: it tells nothing.
      return null;
    }
  }

  /**
   * Whether the process that the record names handed over all of its data to `server`, whose own state `latest` reads. Null if it did,
   * else why that is not certain. A process that died proves nothing.
   */
  async doubts(
    record: LineageRecord,
    server: Replication,
    latest: () => Promise<Replication>,
  ): Promise<string | null> {
    const beganAtMs = this.#options.clock.nowMs();
    const known = this.#addresses.get(record.runId);
    const useless = new Set<string>();
    while (true) {
      const addresses = new Map(candidates(known, await latest()).filter(([name]) => !useless.has(name)));
      let waitMs = WAIT_MS;
      let silence = 'the former primary does not answer';
      for (const [name, answer] of await this.#askAll(addresses, record, server)) {
        if (answer === true) return null;
        if (answer === false) return 'the former primary had more, or did not follow it without a gap';
        if (answer === 'nobody there' && known !== undefined && name === nameOf(known))
          return 'the former primary is gone';
        if (answer === 'another server') useless.add(name);
        if (typeof answer === 'object' && waitMs === WAIT_MS)
          silence = `the former primary, if it is at ${name}, refuses to tell: ${answer.refuses}`;
        if (answer !== 'not yet') continue;
        waitMs = WAIT_FOR_LIVING_MS;
        silence = 'the former primary answers, and does not follow the new one';
      }
      if (this.#options.clock.nowMs() - beganAtMs >= waitMs) return silence;
      await new Promise<void>((resolve) => systemScheduler.after(POLL_MS, resolve));
    }
  }

  #askAll(
    addresses: ReadonlyMap<string, ServerAddress>,
    record: LineageRecord,
    server: Replication,
  ): Promise<(readonly [string, Answer])[]> {
    const asking = [...addresses].map(
      async ([name, address]) => [name, await this.#ask(address, record, server)] as const,
    );
    return Promise.all(asking);
  }

  async #ask(address: ServerAddress, record: LineageRecord, server: Replication): Promise<Answer> {
    try {
      const former = readReplication(await this.#options.info(address));
      if (former.runId !== record.runId) return 'another server';
      return provesHandover(record, server, former) ?? 'not yet';
    } catch (error) {
      const { name, code, message } = error as NodeJS.ErrnoException;
      if (name === 'ReplyError') return { refuses: message };
      return code === 'ECONNREFUSED' ? 'nobody there' : 'silent';
    }
  }
}

/** Where the former primary may be: at the address where this node knew it, or among the replicas of the new primary. */
function candidates(known: ServerAddress | undefined, server: Replication): [string, ServerAddress][] {
  return [...(known === undefined ? [] : [known]), ...server.replicas].map((address) => [
    nameOf(address),
    address,
  ]);
}

function nameOf({ host, port }: ServerAddress): string {
  return `${host}:${port}`;
}
