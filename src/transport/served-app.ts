import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Descriptors } from './descriptors.ts';
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

  /** Counts sockets, here and in `descriptors`. Called once, before `listen`. */
  watch(descriptors: Descriptors, { http }: NodeMetrics): void {
    // uWebSockets.js calls the filter for sockets that open, and for those that close without becoming a WebSocket.
    const watch = (res: HttpResponse, change: number): void => {
      this.#count(change);
      if (change < 0) return descriptors.closed();
      http.socketsOpened++;
      if (descriptors.opened()) return;
      http.socketsRefused++;
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
