/** One room of `sub`: what happens in it, with the position after each event. It can pause, and then goes on where it stopped. */
import type {
  Message,
  Position,
  RefusedError,
  Room,
  RoomcastClient,
  RoomOptions,
  Signal,
} from '../../client/node.ts';

export interface RoomReaderEvents {
  message(message: Message, position: Position | null): void;
  signal(signal: Signal): void;
  /** The room stands here, without a message: joined, or behind messages that do not come. */
  stands(position: Position): void;
  /** For people: something is missing. */
  missing(what: string): void;
  /** For good. */
  ended(why: RefusedError | Error): void;
}

export class RoomReader {
  readonly name: string;
  readonly #client: RoomcastClient;
  readonly #first: RoomOptions;
  readonly #events: RoomReaderEvents;
  #room: Room | null = null;
  #wasOpen = false;
  #position: Position | null = null;

  constructor(name: string, client: RoomcastClient, first: RoomOptions, events: RoomReaderEvents) {
    this.name = name;
    this.#client = client;
    this.#first = first;
    this.#events = events;
  }

  /** Joins: at first as it was told to, later from where it stopped. */
  open(): void {
    if (this.#room !== null) return;
    const { name } = this;
    const room = this.#client.room(name, this.#options());
    this.#room = room;
    this.#wasOpen = true;
    const events = this.#events;
    const stands = () => {
      this.#position = room.position;
      if (room.position !== null) events.stands(room.position);
    };
    room.on('message', (message) => {
      this.#position = room.position;
      events.message(message, room.position);
    });
    room.on('signal', (signal) => events.signal(signal));
    room.on('state', (state) => state === 'catching-up' && stands());
    room.on('gap', ({ from, to, reason }) => {
      // The others are as somebody wanted: older than `last`, or replaced by newer ones.
      if (reason === 'expired')
        events.missing(`${name}: messages ${from} to ${to} are lost: the room no longer keeps them`);
      if (reason === 'skipped')
        events.missing(`${name}: messages ${from} to ${to} were skipped: they were read too slowly`);
      stands();
    });
    room.on('reset', ({ position: [epoch, offset] }) => {
      events.missing(`${name}: the numbering began anew, at ${epoch},${offset}; messages may be lost`);
      stands();
    });
    room.on('refused', (error) => events.ended(error));
    room.on('removed', ({ reason }) => events.ended(new RemovedError(`removed from ${name}: ${reason}`)));
  }

  /** Leaves the room. Harmless when it has. */
  pause(): void {
    this.#room?.leave();
    this.#room = null;
  }

  /** Without a position there is no history: what comes during a pause is lost. */
  get losesWhilePaused(): boolean {
    return this.#wasOpen && this.#position === null;
  }

  #options(): RoomOptions {
    if (this.#position !== null) return { since: this.#position };
    return this.#wasOpen ? {} : this.#first;
  }
}

export class RemovedError extends Error {
  override readonly name = 'RemovedError';
}
