import type { Fanout } from '../connection/socket.ts';
import { TopicList } from '../connection/topic-list.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { clientRoutes } from './clients/client-routes.ts';
import type { Descriptors } from './descriptors.ts';
import type { EventSocket } from './events/event-socket.ts';
import { HeldResponse } from './held-response.ts';
import { type HttpOptions, type HttpParts, metricsRoute, nodeRoutes, registerRoutes } from './http/routes.ts';
import { secureApp, type TlsOptions } from './secure-app.ts';
import { ServedApp } from './served-app.ts';
import { type TemplatedApp, type us_listen_socket, type us_socket, uws } from './uws.ts';
import { type WsEndpointOptions, type WsEndpointParts, wsBehavior } from './ws-endpoint.ts';

/** `listen` with options and a host, which the types omit. */
type ListenExclusively = (
  host: string,
  port: number,
  options: number,
  done: (socket: us_listen_socket | false) => void,
) => TemplatedApp;

/** Sockets that the metrics' own address may have when clients hold all others. */
const METRICS_RESERVE = 8;

/**
 * How one application hands accepted sockets on to another of this process, which the types omit too. They are made
 * for worker threads, and work within one.
 */
interface AppDescriptors {
  getDescriptor(): number;
  addChildAppDescriptor(descriptor: number): void;
  removeChildAppDescriptor(descriptor: number): void;
}

/**
 * The uWebSockets.js application of a node: its listening socket, and native fan-out. After a certificate was
 * replaced it is several: the new one gets all new connections, those before it keep what they have.
 */
export class Server implements Fanout {
  /** Has the listening socket, and hands connections on once another certificate is served. */
  readonly #listener: ServedApp;
  /** Where new connections go. */
  #current: ServedApp;
  /** Those before it that still have sockets: almost always none. */
  readonly #former = new Set<ServedApp>();
  /** Whether it serves TLS. */
  readonly isSecure: boolean;
  #equip: ((served: ServedApp) => void) | null = null;
  #listening: us_listen_socket | null = null;
  #held: HeldResponse | null = null;
  /** What native topics are to WebSockets, for event streams. */
  readonly #eventTopics = new TopicList<EventSocket>();

  /** Throws, with a sentence, if the certificate and key cannot be used. */
  constructor(tls: TlsOptions | null) {
    this.isSecure = tls !== null;
    this.#listener = this.#served(tls ? secureApp(tls) : uws.App());
    this.#current = this.#listener;
  }

  /** Adds the WebSocket endpoint and the HTTP routes. Called once, before `listen`. */
  register(
    ws: Omit<WsEndpointOptions, 'runCorked'> & WsEndpointParts,
    http: HttpOptions & Omit<HttpParts, 'clientRoutes'>,
  ): void {
    const runCorked = (work: () => void) => (this.#held === null ? work() : this.#held.cork(work));
    const behavior = wsBehavior({ ...ws, runCorked }, ws);
    const clients = clientRoutes({
      ...ws,
      topics: this.#eventTopics,
      bodyBytes: http.bodyBytes,
      unfinishedBodyBytes: http.unfinishedBodyBytes,
      limits: http.limits,
    });
    const routes = nodeRoutes(http, { ...http, clientRoutes: clients });
    this.#serve((served) => {
      served.watch({ ...ws, metrics: ws.context.metrics });
      served.serveWebSockets(http.wsPath, behavior);
      registerRoutes(served.app, routes, http);
    });
  }

  /** Adds only `/metrics`, instead of `register`. */
  registerMetrics(http: HttpOptions & Omit<HttpParts, 'clientRoutes'>, descriptors: Descriptors): void {
    const { sockets, metrics } = http;
    const routes = [metricsRoute(http)];
    this.#serve((served) => {
      served.watch({ descriptors, sockets, metrics }, METRICS_RESERVE);
      registerRoutes(served.app, routes, http);
    });
  }

  #serve(equip: (served: ServedApp) => void): void {
    this.#equip = equip;
    equip(this.#listener);
  }

  /**
   * Serves another certificate to whoever connects from now on. Open connections stay as they are. Throws, with a
   * sentence, and changes nothing if the certificate and key cannot be used.
   */
  replaceTls(tls: TlsOptions): void {
    if (!this.isSecure) throw new Error('this server was started without TLS');
    // It must be of the listener's kind: uWebSockets.js takes the one for the other and overwrites memory.
    const next = this.#served(secureApp(tls));
    this.#equip?.(next);
    const before = this.#current;
    descriptorsOf(this.#listener).addChildAppDescriptor(descriptorsOf(next).getDescriptor());
    // Both in one turn: with two children every other connection would go to the one before.
    if (before !== this.#listener) {
      descriptorsOf(this.#listener).removeChildAppDescriptor(descriptorsOf(before).getDescriptor());
    }
    this.#current = next;
    this.#keepFormer(before);
    this.#keepFormer(next);
  }

  #served(app: TemplatedApp): ServedApp {
    return new ServedApp(app, (served) => this.#keepFormer(served));
  }

  /** A connection that was accepted before the certificate was replaced may still arrive where it was sent. */
  #keepFormer(served: ServedApp): void {
    if (served !== this.#current && served.hasSockets) this.#former.add(served);
    else this.#former.delete(served);
  }

  publish(topic: string, message: Uint8Array | string, encoding: ReaderEncoding): void {
    if (encoding === 'sse') return this.#eventTopics.publish(topic, message);
    const isBinary = encoding === 'msgpack';
    this.#current.app.publish(topic, message, isBinary);
    if (this.#former.size === 0) return;
    for (const { app } of this.#former) app.publish(topic, message, isBinary);
  }

  /** Resolves with the bound port: `port` 0 picks a free one. Rejects with a sentence. */
  async listen(host: string, port: number): Promise<number> {
    this.#held = await HeldResponse.open();
    return new Promise((resolve, reject) => {
      // Exclusive: uWebSockets.js shares ports by default, and two nodes on one would each get half of the
      // connections.
      const { app } = this.#listener;
      const listen = app.listen as unknown as ListenExclusively;
      listen.call(app, host, port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
        if (!socket) {
          const problem =
            'the port is in use (--port or ROOMCAST_PORT names another), the address does not belong to this machine, or this user may not bind it';
          return reject(new Error(`cannot listen on ${host}:${port}: ${problem}`));
        }
        this.#listening = socket;
        // The addon accepts a listening socket as a socket; its types do not.
        resolve(uws.us_socket_local_port(socket as us_socket));
      });
    });
  }

  /** Accepts no more connections; open ones stay. */
  stopListening(): void {
    if (this.#listening) uws.us_listen_socket_close(this.#listening);
    this.#listening = null;
  }

  /** Closes everything that is still open. */
  close(): void {
    this.stopListening();
    this.#held?.close();
    for (const { app } of new Set([this.#listener, this.#current, ...this.#former])) app.close();
  }
}

function descriptorsOf({ app }: ServedApp): AppDescriptors {
  return app as unknown as AppDescriptors;
}
