import { EventReader } from './events.ts';
import { delay } from './wait.ts';

/** A reader of one room's events that does what a browser's EventSource does: it comes back with the last id that it had. */
export class ReturningReader {
  /** The data of all messages, in order, over all of its streams. */
  readonly messages: unknown[] = [];
  /** Events that tell of something lost or begun anew. */
  readonly breaks: unknown[][] = [];
  /** How many streams it had. */
  streams = 0;
  readonly #url: string;
  #current: EventReader | null = null;
  #id: string | undefined;
  #retryMs = 100;
  #isClosed = false;
  #look: () => void = () => undefined;

  constructor(url: string) {
    this.#url = url;
    void this.#go();
  }

  async #go(): Promise<void> {
    while (!this.#isClosed) {
      await this.#readOnce();
      await delay(Math.min(this.#retryMs, 100));
    }
  }

  async #readOnce(): Promise<void> {
    const headers: Record<string, string> = this.#id === undefined ? {} : { 'Last-Event-ID': this.#id };
    // Nobody is there, or a node that stops: what a page would do is come back.
    const reader = await EventReader.open(this.#url, { headers }).catch(() => null);
    if (reader === null) return;
    this.#current = reader;
    this.streams++;
    reader.onEvent(({ event, id, retry, data }) => {
      if (id !== undefined) this.#id = id;
      if (retry !== undefined) this.#retryMs = retry;
      const frame = JSON.parse(data) as unknown[];
      if (event === 'message') this.messages.push(frame[5]);
      else if (event === 'gap' || event === 'reset') this.breaks.push(frame);
      this.#look();
    });
    await reader.ended;
  }

  /** Resolves once so many messages came. */
  heard(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => this.messages.length >= count && resolve();
      this.#look();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#current?.close();
  }
}
