import type { Scheduler } from '../util/scheduler.ts';
import { Pipe } from './pipe.ts';

/** What a cable tells the WebSocket of the client. */
export interface ClientEnd {
  opened(subprotocol: string): void;
  received(data: Uint8Array | string): void;
  /** The close frame of the broker arrived, or its answer to the client's own. */
  closed(code: number, reason: string): void;
  /** The cable ended without a close frame, or never opened. */
  failed(why: string): void;
}

/** What a cable tells the socket of the broker. */
export interface BrokerEnd {
  /** The user of its connection, null for an anonymous one. */
  readonly user: string | null;
  received(data: Uint8Array | string): void;
  ponged(): void;
  /** The client reads again, and has read all that waited. */
  drained(): void;
  /** The client's close frame arrived, or the cable ended: then the code is 1006. */
  closed(code: number): void;
}

/** What a client asks for when it opens a WebSocket. */
export interface Handshake {
  readonly url: URL;
  /** Subprotocols that it offers. */
  readonly protocols: readonly string[];
}

export interface CableParts {
  readonly scheduler: Scheduler;
  readonly latencyMs: () => number;
  /** Called when neither end uses it any more. */
  readonly over: (cable: Cable) => void;
}

/** Close code of a cable that ended without a close frame. */
export const ABNORMAL = 1006;
/** A ping, a pong or a close frame: about so many bytes. */
const CONTROL_BYTES = 6;

/** What lies between a client's WebSocket and the broker's socket, in place of a network. */
export class Cable {
  /** Whose it is: the device, and the WebSocket on it. */
  readonly owners: readonly object[];
  readonly #client: ClientEnd;
  readonly #parts: CableParts;
  readonly #toBroker: Pipe;
  readonly #toClient: Pipe;
  #broker: BrokerEnd | null = null;
  #isClientOpen = true;
  #isCut = false;

  constructor(client: ClientEnd, owners: readonly object[], parts: CableParts) {
    this.#client = client;
    this.owners = owners;
    this.#parts = parts;
    this.#toBroker = new Pipe(parts.scheduler, parts.latencyMs);
    this.#toClient = new Pipe(parts.scheduler, parts.latencyMs);
  }

  /** The user of the connection, null for an anonymous one and before there is one. */
  get user(): string | null {
    return this.#broker?.user ?? null;
  }

  // ---- the client's end ----------------------------------------------------------------------------------

  /** The request to open. `arrived` is called when it reaches the broker. */
  knock(arrived: () => void): void {
    this.#toBroker.put(CONTROL_BYTES, arrived);
  }

  sendToBroker(data: Uint8Array | string): void {
    this.#toBroker.put(data.length, () => this.#broker?.received(data));
  }

  closeToBroker(code: number, reason: string): void {
    this.#toBroker.put(CONTROL_BYTES, () => {
      if (this.#broker === null) return;
      this.#toClient.put(CONTROL_BYTES, () => this.#client.closed(code, reason));
      this.#broker.closed(code);
    });
  }

  /** Bytes of the client that have not arrived. */
  get bytesToBroker(): number {
    return this.#toBroker.bytes;
  }

  /** The client's WebSocket is closed. */
  clientGone(): void {
    this.#isClientOpen = false;
    this.#toClient.die();
    this.#checkOver();
  }

  // ---- the broker's end ----------------------------------------------------------------------------------

  /** The broker accepts. */
  accept(broker: BrokerEnd, subprotocol: string): void {
    this.#broker = broker;
    this.#toClient.put(CONTROL_BYTES, () => this.#client.opened(subprotocol));
  }

  /** The broker refuses. A page cannot see why; the `error` event of this WebSocket says it. */
  refuse(why: string): void {
    this.#toClient.put(CONTROL_BYTES, () => this.#client.failed(why));
  }

  sendToClient(data: Uint8Array | string): void {
    this.#toClient.put(data.length, () => this.#client.received(data));
  }

  /** The client answers by itself, as a browser does. */
  ping(): void {
    this.#toClient.put(CONTROL_BYTES, () => {
      this.#toBroker.put(CONTROL_BYTES, () => this.#broker?.ponged());
    });
  }

  closeToClient(code: number, reason: string): void {
    this.#toClient.put(CONTROL_BYTES, () => this.#client.closed(code, reason));
  }

  /** Bytes that wait at the broker since the client does not read. */
  get bytesHeld(): number {
    return this.#toClient.isStuck ? this.#toClient.bytes : 0;
  }

  /** The broker's socket is closed. */
  brokerGone(): void {
    this.#broker = null;
    this.#checkOver();
  }

  // ---- the network ---------------------------------------------------------------------------------------

  /** Ends without a close frame: what is on its way is lost. Both ends are told, in the next turn. */
  cut(why: string): void {
    this.#isCut = true;
    this.die();
    this.#parts.scheduler.atEndOfTurn(() => {
      this.#broker?.closed(ABNORMAL);
      if (this.#isClientOpen) this.#client.failed(why);
    });
  }

  /** It has ended, or the client left: there is nobody to accept. */
  get isOver(): boolean {
    return this.#isCut || !this.#isClientOpen;
  }

  /** Nothing arrives any more at either end, and neither is told. */
  die(): void {
    this.#toBroker.die();
    this.#toClient.die();
  }

  pause(): void {
    this.#toClient.pause();
  }

  resume(): void {
    this.#toClient.resume(() => this.#broker?.drained());
  }

  #checkOver(): void {
    if (!this.#isClientOpen && this.#broker === null) this.#parts.over(this);
  }
}
