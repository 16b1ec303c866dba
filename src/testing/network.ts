import { type Handshake, Link } from './link.ts';
import type { TestClock } from './test-clock.ts';
import { TestWebSocket } from './test-web-socket.ts';

/** What `new WebSocket` is called on: give it to a client in place of the global class. */
export interface TestWebSocketClass {
  new (url: string | URL, protocols?: string | readonly string[]): TestWebSocket;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
}

/** One machine with clients: what they open can be cut, paused and taken offline apart from others. */
export interface TestDevice {
  readonly WebSocket: TestWebSocketClass;
}

/** Whose WebSockets: those of a user, of a device, or one. Left out: all. */
export type Target = string | TestDevice | TestWebSocket;

/** Takes those who knock. */
export type Door = (link: Link, handshake: Handshake) => void;

/** All links to the broker, and what can go wrong with them. */
export class Network {
  /** One way, for what is sent from now on. */
  latencyMs = 0;
  readonly #clock: TestClock;
  readonly #door: Door;
  readonly #links = new Set<Link>();
  readonly #offline = new Set<object>();
  #isOffline = false;

  constructor(clock: TestClock, door: Door) {
    this.#clock = clock;
    this.#door = door;
  }

  device(): TestDevice {
    const connect = (client: TestWebSocket, handshake: Handshake) => this.#connect(client, device, handshake);
    const connector = { scheduler: this.#clock, connect };
    const device: TestDevice = {
      WebSocket: class extends TestWebSocket {
        constructor(url: string | URL, protocols?: string | readonly string[]) {
          super(connector, url, protocols);
        }
      },
    };
    return device;
  }

  /** Links that one of the two ends still uses. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** A copy: they may end meanwhile. */
  linksOf(target?: Target): Link[] {
    return [...this.#links].filter((link) => isOf(link, target));
  }

  goOffline(device?: TestDevice): number {
    if (device === undefined) this.#isOffline = true;
    else this.#offline.add(device);
    const links = this.linksOf(device);
    for (const link of links) link.cut('the network is gone');
    return links.length;
  }

  goOnline(device?: TestDevice): void {
    if (device === undefined) {
      this.#isOffline = false;
      this.#offline.clear();
    } else this.#offline.delete(device);
  }

  #connect(client: TestWebSocket, device: object, handshake: Handshake): Link {
    const parts = {
      scheduler: this.#clock,
      latencyMs: () => this.latencyMs,
      over: () => this.#links.delete(link),
    };
    const link: Link = new Link(client, device, parts);
    this.#links.add(link);
    link.knock(() => {
      if (this.#isOffline || this.#offline.has(device)) link.refuse('the network is offline');
      else this.#door(link, handshake);
    });
    return link;
  }
}

function isOf(link: Link, target: Target | undefined): boolean {
  if (target === undefined) return true;
  if (typeof target === 'string') return link.user === target;
  return link.client === target || link.device === target;
}
