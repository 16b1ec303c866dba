/** What a client sent, frame by frame, and how each was answered: what the order of its messages is judged by. */
import type { InspectedFrame } from '../../../src/client/inspector.ts';

export interface Sending {
  readonly room: string;
  /** Messages and signals are counted together. */
  readonly number: number;
  readonly isSignal: boolean;
  /** Which of the client's connections took it, from 1. */
  readonly connection: number;
  /** It may have been stored by an earlier sending. */
  readonly isDoubtful: boolean;
  end: 'none' | 'ok' | 'refused' | 'unknown';
  epoch: string;
  offset: number;
}

/** A signal as a member was given it. */
export interface HeardSignal {
  readonly room: string;
  /** Name of the client that sent it. */
  readonly sender: string;
  readonly number: number;
  /** Where the member stood. */
  readonly epoch: string;
  readonly offset: number;
}

/** After these nobody knows whether it was stored. */
const UNKNOWN = ['timeout', 'internal'];
/** After these it is tried again, and what follows waits for it. */
const PASSING = [...UNKNOWN, 'rate_limited', 'unavailable'];

export class Sendings {
  /** In the order in which they were sent. */
  readonly all: Sending[] = [];
  readonly #complain: (what: string) => void;
  readonly #open = new Map<number, Sending>();
  readonly #last = new Map<number, Sending>();
  #connection = 0;
  /** Publishes on their way since one was refused; null: none was, or one was stored since. */
  #sinceRefusal: Set<number> | null = null;

  constructor(complain: (what: string) => void) {
    this.#complain = complain;
  }

  /** How many connections there have been. */
  get connections(): number {
    return this.#connection;
  }

  connecting(): void {
    this.#connection++;
    this.#open.clear();
    this.#sinceRefusal = null;
  }

  frame({ direction, frame }: InspectedFrame): void {
    const [type, id, what] = frame as readonly [string, number, unknown];
    if (direction === 'sent' && type === 'publish') this.#sent(id, what as string, frame[3], frame[4] ?? {});
    else if (type === 'ok') this.#stored(id, what as { epoch?: string; offset?: number });
    else if (type === 'error') this.#refused(id, String(what));
  }

  #sent(id: number, room: string, data: unknown, options: { readonly ephemeral?: boolean }): void {
    const isSignal = options.ephemeral === true;
    const number = numberOf(data, isSignal);
    const before = this.#last.get(number);
    const isDoubtful = before !== undefined && (before.isDoubtful || before.end !== 'refused');
    const { all } = this;
    const sending: Sending = {
      ...{ room, number, isSignal, isDoubtful },
      ...{ connection: this.#connection, end: 'none', epoch: '', offset: 0 },
    };
    all.push(sending);
    this.#open.set(id, sending);
    this.#last.set(number, sending);
    if (isSignal || this.#sinceRefusal === null) return;
    this.#sinceRefusal.add(id);
    if (this.#sinceRefusal.size > 1)
      this.#complain(`sends ${number} to ${room} ahead of one that was refused`);
  }

  #stored(id: number, { epoch = '', offset = 0 }: { epoch?: string; offset?: number }): void {
    const sending = this.#open.get(id);
    if (sending === undefined) return;
    this.#open.delete(id);
    Object.assign(sending, { end: 'ok', epoch, offset });
    if (!sending.isSignal) this.#sinceRefusal = null;
  }

  #refused(id: number, code: string): void {
    const sending = this.#open.get(id);
    if (sending === undefined) return;
    this.#open.delete(id);
    sending.end = UNKNOWN.includes(code) ? 'unknown' : 'refused';
    this.#sinceRefusal?.delete(id);
    if (!sending.isSignal && PASSING.includes(code)) this.#sinceRefusal ??= new Set();
  }
}

function numberOf(data: unknown, isSignal: boolean): number {
  if (!Array.isArray(data)) return Number(data);
  return Number(data[isSignal ? 1 : 0]);
}
