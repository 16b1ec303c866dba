import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Fanout } from '../connection/socket.ts';
import { TopicList } from '../connection/topic-list.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { clientRoutes } from './clients/client-routes.ts';
import type { Descriptors } from './descriptors.ts';
import type { EventSocket } from './events/event-socket.ts';
import { HeldResponse } from './held-response.ts';
import { type HttpOptions, type HttpParts, registerMetrics, registerRoutes } from './http/routes.ts';
import { type HttpResponse, type TemplatedApp, type us_listen_socket, type us_socket, uws } from './uws.ts';
import { type WsEndpointOptions, type WsEndpointParts, wsBehavior } from './ws-endpoint.ts';
import type { SocketData } from './ws-socket.ts';

/** `listen` with options and a host, which the types omit. */
type ListenExclusively = (
  host: string,
  port: number,
  options: number,
  done: (socket: us_listen_socket | false) => void,
) => TemplatedApp;

export interface TlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

/** The uWebSockets.js application of a node: its listening socket, and native fan-out. */
export class Server implements Fanout {
  readonly #app: TemplatedApp;
  #listening: us_listen_socket | null = null;
  #held: HeldResponse | null = null;
  /** What native topics are to WebSockets, for event streams. */
  readonly #eventTopics = new TopicList<EventSocket>();

  /** Throws, with a sentence, if the certificate and key cannot be used. */
  constructor(tls: TlsOptions | null) {
    this.#app = tls ? secureApp(tls) : uws.App();
  }

  /** Adds the WebSocket endpoint and the HTTP routes. Called once, before `listen`. */
  register(
    ws: Omit<WsEndpointOptions, 'runCorked'> & WsEndpointParts,
    http: HttpOptions & Omit<HttpParts, 'clientRoutes'>,
  ): void {
    this.#watchDescriptors(ws.descriptors, ws.context.metrics);
    const runCorked = (work: () => void) => (this.#held === null ? work() : this.#held.cork(work));
    this.#app.ws<SocketData>(http.wsPath, wsBehavior({ ...ws, runCorked }, ws));
    const routes = clientRoutes({
      ...ws,
      topics: this.#eventTopics,
      bodyBytes: http.bodyBytes,
      limits: http.limits,
    });
    registerRoutes(this.#app, http, { ...http, clientRoutes: routes });
  }

  /** Adds only `/metrics`, instead of `register`. */
  registerMetrics(http: HttpOptions & Omit<HttpParts, 'clientRoutes'>, descriptors: Descriptors): void {
    this.#watchDescriptors(descriptors, http.metrics);
    registerMetrics(this.#app, http, http);
  }

  /**
   * uWebSockets.js calls the filter for sockets that open, and for those that close without becoming a
   * WebSocket.
   */
  #watchDescriptors(descriptors: Descriptors, { http }: NodeMetrics): void {
    const watch = (res: HttpResponse, change: number): void => {
      if (change < 0) return descriptors.closed();
      http.socketsOpened++;
      if (descriptors.opened()) return;
      http.socketsRefused++;
      res.close();
    };
    this.#app.filter(watch);
  }

  publish(topic: string, message: Uint8Array | string, encoding: ReaderEncoding): void {
    if (encoding === 'sse') this.#eventTopics.publish(topic, message);
    else this.#app.publish(topic, message, encoding === 'msgpack');
  }

  /** Resolves with the bound port: `port` 0 picks a free one. Rejects with a sentence. */
  async listen(host: string, port: number): Promise<number> {
    this.#held = await HeldResponse.open();
    return new Promise((resolve, reject) => {
      // Exclusive: uWebSockets.js shares ports by default, and two nodes on one would each get half of the
      // connections.
      const listen = this.#app.listen as unknown as ListenExclusively;
      listen.call(this.#app, host, port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
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
    this.#app.close();
  }
}

function secureApp({ certFile, keyFile, passphrase }: TlsOptions): TemplatedApp {
  const secret = passphrase === null ? {} : { passphrase };
  try {
    return uws.SSLApp({ cert_file_name: certFile, key_file_name: keyFile, ...secret });
  } catch (cause) {
    throw new Error(
      `cannot serve TLS with ${certFile} and ${keyFile}: ${tlsProblem(certFile, keyFile, secret)}`,
      {
        cause,
      },
    );
  }
}

/** uWebSockets.js only says that it failed; Node, asked for the same, says why. */
function tlsProblem(certFile: string, keyFile: string, secret: { readonly passphrase?: string }): string {
  try {
    createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile), ...secret });
    return 'this type of certificate or key is not supported';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
