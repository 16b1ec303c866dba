import { Cable, type ClientEnd, type Handshake } from './cable.ts';
import type { TestClock } from './test-clock.ts';
import { type Connector, TestWebSocket } from './test-web-socket.ts';

/** What `new WebSocket` is called on: give it to a client in place of the global class. */
export interface TestWebSocketClass {
  new (url: string | URL, protocols?: string | readonly string[]): TestWebSocket;
  readonly prototype: TestWebSocket;
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
export type Door = (cable: Cable, handshake: Handshake) => void;

/** All cables to the broker, and what can go wrong with them. */
export class Network {
  /** One way, for what is sent from now on. */
  latencyMs = 0;
  readonly #clock: TestClock;
  readonly #door: Door;
  readonly #cables = new Set<Cable>();
  readonly #offline = new Set<object>();
  #isOffline = false;

  constructor(clock: TestClock, door: Door) {
    this.#clock = clock;
    this.#door = door;
  }

  device(): TestDevice {
    const connector: Connector = {
      clock: this.#clock,
      connect: (socket, client, handshake) => this.#connect(client, device, socket, handshake),
    };
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
  get cableCount(): number {
    return this.#cables.size;
  }

  /** A copy: they may end meanwhile. */
  cablesOf(target?: Target): Cable[] {
    return [...this.#cables].filter((cable) => isOf(cable, target));
  }

  goOffline(device?: TestDevice): number {
    if (device === undefined) this.#isOffline = true;
    else this.#offline.add(device);
    const cables = this.cablesOf(device);
    for (const cable of cables) cable.cut('the network is gone');
    return cables.length;
  }

  goOnline(device?: TestDevice): void {
    if (device === undefined) {
      this.#isOffline = false;
      this.#offline.clear();
    } else this.#offline.delete(device);
  }

  #connect(client: ClientEnd, device: object, socket: object, handshake: Handshake): Cable {
    const parts = {
      scheduler: this.#clock,
      latencyMs: () => this.latencyMs,
      over: () => this.#cables.delete(cable),
    };
    const cable: Cable = new Cable(client, [device, socket], parts);
    this.#cables.add(cable);
    cable.knock(() => {
      if (this.#isOffline || this.#offline.has(device)) cable.refuse('the network is offline');
      else this.#door(cable, handshake);
    });
    return cable;
  }
}

function isOf(cable: Cable, target: Target | undefined): boolean {
  if (target === undefined) return true;
  if (typeof target === 'string') return cable.user === target;
  return cable.owners.includes(target);
}
