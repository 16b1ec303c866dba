/** Requests that only ask, or may be repeated: they wait for a connection, and are sent again when it is lost before the answer. */
import type { AckResult, CommandFrame, HistoryResult, Position } from '../protocol/frames.ts';
import { type ClosedError, DisconnectedError } from './errors.ts';
import type { Snapshot } from './member-list.ts';
import { checkSettings } from './name-checks.ts';
import type { HistoryPage, HistorySettings, MembersSettings, RequestSettings } from './room-services.ts';
import type { Session } from './session.ts';

export class Requests {
  readonly #session: () => Session | null;
  /** Those that wait for a connection. */
  readonly #waiting = new Set<() => void>();
  #closed: ClosedError | null = null;

  /** `session`: the connection, where it may be used. */
  constructor(session: () => Session | null) {
    this.#session = session;
  }

  async history(room: string, settings?: HistorySettings): Promise<HistoryPage> {
    const page = await this.#ask<HistoryResult>('history', room, settings);
    const messages = page.messages.map(([, , offset, time, sender, data]) => {
      return { room, offset, time, sender, data };
    });
    return { position: [page.epoch, page.offset], messages };
  }

  listMembers(room: string, settings?: MembersSettings): Promise<Snapshot> {
    return this.#ask('members', room, settings);
  }

  ack(room: string, position: Position, settings?: RequestSettings): Promise<AckResult> {
    return this.#ask('ack', room, settings, position);
  }

  connected(): void {
    for (const go of this.#waiting) go();
  }

  close(error: ClosedError): void {
    this.#closed = error;
    this.connected();
  }

  /** `subject`: what the command is about; by default the settings. Rejects with `RefusedError`, `ClosedError`, or the reason of `abort`. */
  async #ask<R>(
    type: 'history' | 'members' | 'ack',
    room: string,
    settings: HistorySettings & MembersSettings = {},
    subject?: Position,
  ): Promise<R> {
    checkSettings(settings);
    const { abort, ...asked } = settings;
    for (;;) {
      abort?.throwIfAborted();
      if (this.#closed !== null) throw this.#closed;
      const session = this.#session();
      try {
        if (session === null) await this.#change(abort);
        else {
          const build = (id: number) => [type, id, room, subject ?? asked] as CommandFrame;
          return await orAborted(session.request<R>(build), abort);
        }
      } catch (error) {
        if (!(error instanceof DisconnectedError)) throw error;
      }
    }
  }

  /** Resolves when there is a connection, or none will come. */
  #change(abort: AbortSignal | undefined): Promise<void> {
    let go!: () => void;
    const changed = new Promise<void>((resolve) => {
      go = resolve;
    });
    this.#waiting.add(go);
    return orAborted(changed, abort).finally(() => this.#waiting.delete(go));
  }
}

/** Leaves no listener on `abort`, which is not aborted yet. */
function orAborted<R>(work: Promise<R>, abort: AbortSignal | undefined): Promise<R> {
  if (abort === undefined) return work;
  return new Promise((resolve, reject) => {
    const aborted = () => reject(abort.reason);
    abort.addEventListener('abort', aborted);
    work.finally(() => abort.removeEventListener('abort', aborted)).then(resolve, reject);
  });
}
