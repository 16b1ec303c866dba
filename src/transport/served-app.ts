import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { peerAddress } from './client-address.ts';
import type { Descriptors } from './descriptors.ts';
import type { PeerSockets } from './peer-sockets.ts';
import type { HttpResponse, TemplatedApp, WebSocketBehavior } from './uws.ts';
import type { SocketData } from './ws-socket.ts';

/**
 * One uWebSockets.js application, and whether it has sockets. A server has one, and another for each certificate
 * that it was given while it ran: an application keeps the certificate that it was made with.
 */
export class ServedApp {
  readonly app: TemplatedApp;
  readonly #changed: (served: ServedApp) => void;
  #sockets = 0;

  /** `changed` is called when the first socket comes and when the last one goes. */
  constructor(app: TemplatedApp, changed: (served: ServedApp) => void) {
    this.app = app;
    this.#changed = changed;
  }

  get hasSockets(): boolean {
    return this.#sockets > 0;
  }

  /** Counts sockets, here and in those. Called once, before `listen`. `reserve`: of descriptors, that only this one has. */
  watch(
    {
      descriptors,
      sockets,
      metrics,
    }: { descriptors: Descriptors; sockets: PeerSockets; metrics: NodeMetrics },
    reserve = 0,
  ): void {
    const { http, limits } = metrics;
    // uWebSockets.js calls the filter for sockets that open, and for those that close without becoming a WebSocket.
    const watch = (res: HttpResponse, change: number): void => {
      this.#count(change);
      if (change < 0) {
        sockets.closed();
        return descriptors.closed();
      }
      http.socketsOpened++;
      const limit = sockets.opened(peerAddress(res));
      const hasRoom = descriptors.opened(reserve);
      if (limit !== null) limits[limit]++;
      else if (hasRoom) return;
      else http.socketsRefused++;
      res.close();
    };
    this.app.filter(watch);
  }

  /** Called once, before `listen`. */
  serveWebSockets(path: string, behavior: WebSocketBehavior<SocketData>): void {
    this.app.ws<SocketData>(path, {
      ...behavior,
      close: (ws, code, message) => {
        this.#count(-1);
        return behavior.close?.(ws, code, message);
      },
    });
  }

  #count(change: number): void {
    const had = this.hasSockets;
    this.#sockets += change;
    if (this.hasSockets !== had) this.#changed(this);
  }
}
