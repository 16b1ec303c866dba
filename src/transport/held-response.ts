import { type ClientRequest, get } from 'node:http';
import { type HttpResponse, type us_listen_socket, type us_socket, uws } from './uws.ts';

/**
 * A request of this process to itself that is never answered, so that there is a response to cork at any time.
 *
 * An upgrade that had to wait for something must be written inside of `cork`, or uWebSockets.js warns on standard error,
 * once for each. Inside of its own response's cork it closes some of the new WebSockets at once (1006): it takes the socket
 * that was moved for the old response (uNetworking/uWebSockets#1929, not in the release that is pinned). The cork of
 * another response has neither fault.
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

  /** Listens on the loopback address for as long as that one request takes to arrive. */
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
        // Of its end as well: that is this process's own doing.
        request = get({ host: '127.0.0.1', port, agent: false }).on('error', reject);
      });
    });
  }

  /** Runs `work` at once. What it upgrades is taken for corked. */
  cork(work: () => void): void {
    if (this.#response === null) work();
    else this.#response.cork(work);
  }

  close(): void {
    this.#response = null;
    this.#request.destroy();
  }
}
