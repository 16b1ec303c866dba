import { RoomcastClient } from 'roomcast/client';

/** With this many unanswered messages a client waits for answers before it publishes more. */
const MAX_UNANSWERED = 100;

/** One member of one room, which counts what it is told. */
export class Client {
  #client;
  #room;
  #tally;
  #isConnecting = false;
  /** Of the last message, to see that the next one follows it. */
  #offset = null;

  constructor({ url, token, room, tally }) {
    this.#tally = tally;
    const refused = (error) => tally.refuse(error.code ?? error.name);
    this.#client = new RoomcastClient(url, {
      ...(token && { token }),
      reconnect: { baseMs: 100, capMs: 5_000 },
      onError: refused,
    });
    this.#client.onStatus((status) => this.#changed(status));
    this.#room = this.#client.room(room);
    this.#room.on('message', ({ offset, data }) => this.#arrived(offset, data));
    this.#room.on('gap', ({ to }) => {
      tally.gaps++;
      this.#offset = to;
    });
    this.#room.on('reset', ({ position }) => {
      tally.resets++;
      this.#offset = position[1];
    });
    this.#room.on('refused', refused);
  }

  get isOpen() {
    return this.#client.status.state === 'connected';
  }

  publish(text) {
    if (this.#client.pending >= MAX_UNANSWERED) return;
    this.#room.publish({ at: performance.now(), text }).then(
      () => this.#tally.acknowledged++,
      (error) => this.#tally.refuse(error.code ?? error.name),
    );
  }

  /** Cuts the connection; the client reconnects as after a network failure. */
  cut() {
    this.#client.dropConnection();
  }

  #changed({ state, code, reason }) {
    if (state === 'connected') this.#tally.opened++;
    if (state === 'waiting' && this.#isConnecting) this.#tally.failed++;
    if (state === 'closed') this.#tally.refuse(code ?? reason);
    this.#isConnecting = state === 'connecting';
  }

  #arrived(offset, data) {
    if (this.#offset !== null && offset !== this.#offset + 1) this.#tally.misplaced++;
    this.#offset = offset;
    this.#tally.arrived(performance.now() - data.at);
  }
}
