import { type ClientRequest, get } from 'node:http';
import { type HttpResponse, type us_listen_socket, type us_socket, uws } from './uws.ts';

/**
 * A request of this process to itself that is never answered, so that there is always a response to cork.
 *
 * An upgrade that had to wait must be written inside `cork`, or uWebSockets.js prints a warning on standard
 * error for each. Inside its own response's cork it closes some of the new WebSockets at once (1006): it
 * mistakes the socket that was moved for the old response (uNetworking/uWebSockets#1929, not in the pinned
 * release). The cork of another response has neither fault.
 */
export class HeldResponse {
  #response: HttpResponse | null;
  readonly #request: ClientRequest;

  private constructor(response: HttpResponse, request: ClientRequest) {
    this.#response = response;
    this.#request = request;
    response.onAborted(() => {
      this.#response = null;
    });
  }

  /** Listens on the loopback address until that one request arrives. */
  static open(): Promise<HeldResponse> {
    return new Promise((resolve, reject) => {
      let request: ClientRequest;
      let listening: us_listen_socket | false;
      const app = uws.App().any('/*', (response) => {
        if (listening) uws.us_listen_socket_close(listening);
        resolve(new HeldResponse(response, request));
      });
      app.listen('127.0.0.1', 0, (socket) => {
        listening = socket;
        if (!socket) return reject(new Error('cannot listen on the loopback address 127.0.0.1'));
        const port = uws.us_socket_local_port(socket as us_socket);
        // Also for its end: that is this process's own doing.
        request = get({ host: '127.0.0.1', port, agent: false }).on('error', reject);
      });
    });
  }

  /** Runs `work` at once. What it upgrades counts as corked. */
  cork(work: () => void): void {
    if (this.#response === null) work();
    else this.#response.cork(work);
  }

  close(): void {
    this.#response = null;
    this.#request.destroy();
  }
}
