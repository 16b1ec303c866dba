import type { Identity } from '../auth/identity.ts';
import type { AuthRefusal } from '../auth/refusal.ts';
import type { Connection } from '../connection/connection.ts';
import type { SendOutcome, Socket } from '../connection/socket.ts';
import type { CloseReason } from '../protocol/codes.ts';
import type { Place } from '../util/tally.ts';
import { addressOf, peerAddress } from './client-address.ts';
import type { Peer } from './peer-sockets.ts';
import type { WebSocket } from './uws.ts';

/** The data that uWebSockets.js carries for a socket. */
export interface SocketData {
  readonly socket: WsSocket;
}

/** What `ws.send` returns, by number. */
const OUTCOMES: readonly SendOutcome[] = ['queued', 'sent', 'dropped'];

/**
 * A connection's socket over uWebSockets.js, which throws when a closed socket is touched: here that does
 * nothing.
 */
export class WsSocket implements Socket {
  readonly isBinary: boolean;
  /** From a token on the upgrade, or null. */
  readonly identity: Identity | null;
  /** Why the token of the upgrade was refused: sent when the socket opens, before closing it. */
  readonly refusal: AuthRefusal | null;
  /** Among the connections of its address; null: they are not limited. */
  readonly place: Place | null;
  /** The address that pays for what it sends while it has no user; null: the limits of addresses do not hold for it. */
  readonly payer: string | null;
  /** Who connected: the client, or a proxy. */
  readonly peer: Peer;
  connection: Connection | null = null;
  /** The client's address if a proxy connected for it; else null. */
  readonly #forwardedFor: string | null;
  #ws: WebSocket<SocketData> | null = null;

  constructor(
    isBinary: boolean,
    identity: Identity | null,
    forwardedFor: string | null,
    refusal: AuthRefusal | null,
    place: Place | null,
    payer: string | null,
    peer: Peer,
  ) {
    this.isBinary = isBinary;
    this.identity = identity;
    this.refusal = refusal;
    this.place = place;
    this.payer = payer;
    this.peer = peer;
    this.#forwardedFor = forwardedFor;
  }

  opened(ws: WebSocket<SocketData>): void {
    this.#ws = ws;
  }

  /** The socket is gone: nothing touches it from now on. */
  closed(): void {
    this.#ws = null;
  }

  get remoteAddress(): string {
    if (this.#forwardedFor !== null) return this.#forwardedFor;
    if (this.#ws === null) return '';
    const peer = peerAddress(this.#ws);
    return addressOf(peer) ?? peer;
  }

  get addressKey(): string | null {
    return this.place?.name ?? null;
  }

  send(message: Uint8Array | string): SendOutcome {
    if (this.#ws === null) return 'dropped';
    return OUTCOMES[this.#ws.send(message, this.isBinary)] ?? 'dropped';
  }

  cork(work: () => void): void {
    this.#ws?.cork(work);
  }

  subscribe(topic: string): void {
    this.#ws?.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.#ws?.unsubscribe(topic);
  }

  publishToOthers(topic: string, message: Uint8Array | string): void {
    this.#ws?.publish(topic, message, this.isBinary);
  }

  ping(): void {
    this.#ws?.ping();
  }

  bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  end({ code, reason }: CloseReason): void {
    this.#ws?.end(code, reason);
  }

  destroy(): void {
    this.#ws?.close();
  }
}
