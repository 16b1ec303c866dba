import type { LimitLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import { networkOf } from '../util/network-of.ts';
import type { AddressLimits } from './address-limits.ts';
import { addressOf, type ClientAddresses } from './client-address.ts';

/**
 * uWebSockets.js closes a socket that has no request within 8 to 12 seconds. What is idle for longer than so many
 * slots is gone, whoever closed it.
 */
const SLOT_MS = 4000;
const SLOTS = 4;
/** Fewer addresses than this are not worth looking through. */
const MIN_SWEEP = 1024;

/** Who connects, as far as the limits of addresses go: an IPv4 address, an IPv6 network, or all trusted proxies together. */
export interface Peer {
  /** Null: the limits do not apply. */
  readonly key: string | null;
  /** Sockets with a request that is not answered, and WebSockets. */
  busy: number;
  /** Sockets that waited for a request at some time of the last slots, and got none that we know of. */
  idle: number;
}

/**
 * How many sockets each address holds, whatever they are used for: WebSockets, requests, and those that wait for one.
 * uWebSockets.js tells that an idle socket closed, but not whose it was. So the number of an address is what it holds at
 * least: all that closed in the last seconds may have been its own.
 */
export class PeerSockets {
  readonly #addresses: ClientAddresses;
  readonly #limits: AddressLimits;
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, Peer>();
  readonly #byKey = new Map<string | null, Peer>();
  #sweepAt = MIN_SWEEP;
  /** Idle sockets by the slot in which they became so. */
  readonly #slots: Map<Peer, number>[] = Array.from({ length: SLOTS }, () => new Map<Peer, number>());
  #slot = 0;
  /** The sum of `idle`, which has some that closed; and the sockets that are open and busy, exactly. */
  #idle = 0;
  #open = 0;
  #busy = 0;

  constructor(addresses: ClientAddresses, limits: AddressLimits, clock: Clock) {
    this.#addresses = addresses;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Addresses that are kept in mind. */
  get size(): number {
    return this.#byAddress.size;
  }

  /** A socket of this address was accepted. Null: it may stay; else the limit that it is beyond, and it is to be closed. */
  opened(address: string): LimitLabel | null {
    const peer = this.#peer(address);
    const limit = this.#limits.socket(peer.key, this.held(peer));
    this.#open++;
    if (limit === null) this.#enter(peer);
    return limit;
  }

  /** A socket closed, of whomever. */
  closed(): void {
    this.#open--;
  }

  /** A request arrived. What this returns goes to `answered` or to `left`, once. */
  begun(address: string): Peer {
    const peer = this.#peer(address);
    this.#advance();
    // The one that waited longest: if another did, that one is taken to have waited for less time than it has.
    for (let slot = this.#slot - SLOTS + 1; slot <= this.#slot; slot++) {
      if (this.#take(this.#slots[slot & (SLOTS - 1)]!, peer)) break;
    }
    peer.busy++;
    this.#busy++;
    return peer;
  }

  /** The answer was sent: the socket waits for another request. */
  answered(peer: Peer): void {
    this.left(peer);
    this.#enter(peer);
  }

  /** A socket with a request, or a WebSocket, closed or is about to. */
  left(peer: Peer): void {
    peer.busy--;
    this.#busy--;
  }

  /** Sockets that it holds at least. */
  held(peer: Peer): number {
    this.#advance();
    const closed = Math.max(0, this.#idle - (this.#open - this.#busy));
    return peer.busy + Math.max(0, peer.idle - closed);
  }

  #enter(peer: Peer): void {
    this.#advance();
    const slot = this.#slots[this.#slot & (SLOTS - 1)]!;
    slot.set(peer, (slot.get(peer) ?? 0) + 1);
    peer.idle++;
    this.#idle++;
  }

  #take(slot: Map<Peer, number>, peer: Peer): boolean {
    const count = slot.get(peer);
    if (count === undefined) return false;
    if (count === 1) slot.delete(peer);
    else slot.set(peer, count - 1);
    peer.idle--;
    this.#idle--;
    return true;
  }

  #advance(): void {
    const now = Math.floor(this.#clock.nowMs() / SLOT_MS);
    for (let past = Math.max(this.#slot + 1, now - SLOTS + 1); past <= now; past++) {
      const slot = this.#slots[past & (SLOTS - 1)]!;
      for (const [peer, count] of slot) {
        peer.idle -= count;
        this.#idle -= count;
      }
      slot.clear();
    }
    this.#slot = Math.max(this.#slot, now);
  }

  #peer(address: string): Peer {
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known;
    if (this.#byAddress.size >= this.#sweepAt) this.#forget();
    const key = this.#addresses.trusts(address) ? null : networkOf(addressOf(address) ?? address);
    let peer = this.#byKey.get(key);
    if (peer === undefined) {
      peer = { key, busy: 0, idle: 0 };
      this.#byKey.set(key, peer);
    }
    this.#byAddress.set(address, peer);
    return peer;
  }

  #forget(): void {
    const isGone = ({ busy, idle }: Peer) => busy === 0 && idle === 0;
    for (const [address, peer] of this.#byAddress) if (isGone(peer)) this.#byAddress.delete(address);
    for (const [key, peer] of this.#byKey) if (isGone(peer)) this.#byKey.delete(key);
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#byAddress.size);
  }
}
