/** Longest wait before a connection is tried again, in ms. */
const BACKOFF_CAP_MS = 5_000;
/** With this many unanswered messages a client waits for answers before it publishes more. */
const MAX_UNANSWERED = 100;

/** One member of one room that keeps its position through every reconnect. */
export class Client {
  #url;
  #room;
  #name;
  #tally;
  #socket = null;
  #position = null;
  #lastId = 0;
  #lastKey = 0;
  /** Messages without an answer, by key: sent again, under the same key, on the next connection. */
  #unanswered = new Map();
  /** Keys by the id of the command that carried them. */
  #keys = new Map();
  #joinId = 0;
  #attempt = 0;
  #waitMs = null;

  constructor(url, room, name, tally) {
    this.#url = url;
    this.#room = room;
    this.#name = name;
    this.#tally = tally;
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  publish(text) {
    if (this.#unanswered.size >= MAX_UNANSWERED) return;
    const key = `${this.#name}-${++this.#lastKey}`;
    const data = { at: performance.now(), text };
    this.#unanswered.set(key, data);
    this.#sendPublish(key, data);
  }

  /** Cuts the connection; the client reconnects as after a network failure. */
  cut() {
    if (this.isOpen) this.#socket.close(1000);
  }

  #connect() {
    const socket = new WebSocket(this.#url, 'roomcast.v1.json');
    this.#socket = socket;
    this.#waitMs = null;
    socket.onopen = () => this.#opened();
    // A WebSocket message carries one or more frames, separated by newlines.
    socket.onmessage = ({ data }) => {
      for (const line of data.split('\n')) if (line !== '') this.#receive(JSON.parse(line));
    };
    socket.onerror = () => this.#tally.failed++;
    socket.onclose = ({ code }) => this.#closed(code);
  }

  #opened() {
    this.#tally.opened++;
    this.#keys.clear();
    this.#joinId = ++this.#lastId;
    this.#send(['join', this.#joinId, this.#room, this.#position ? { since: this.#position } : {}]);
    for (const [key, data] of this.#unanswered) this.#sendPublish(key, data);
  }

  #closed(code) {
    // 4500 and above mean: do not reconnect.
    if (code >= 4500 && code <= 4999) return this.#tally.refuse(code);
    const backoffMs = Math.min(BACKOFF_CAP_MS, 100 * 2 ** Math.min(this.#attempt++, 10));
    setTimeout(() => this.#connect(), this.#waitMs ?? backoffMs * (0.5 + Math.random() / 2));
  }

  #send(frame) {
    if (this.isOpen) this.#socket.send(JSON.stringify(frame));
  }

  #sendPublish(key, data) {
    const id = ++this.#lastId;
    this.#keys.set(id, key);
    this.#send(['publish', id, this.#room, data, { key }]);
  }

  #receive([type, ...fields]) {
    switch (type) {
      case 'hello':
        this.#attempt = 0;
        return;
      case 'bye':
        this.#waitMs = fields[1]?.reconnectAfterMs ?? null;
        return;
      case 'ok':
        return this.#answered(fields[0], fields[1]);
      case 'error':
        return this.#refused(fields[0], fields[1]);
      case 'message':
        return this.#arrived(fields[1], fields[4]);
      case 'gap':
        this.#tally.gaps++;
        this.#position[1] = fields[2];
        return;
      case 'reset':
        this.#tally.resets++;
        this.#position = [fields[1], fields[2]];
    }
  }

  #answered(id, result) {
    const key = this.#keys.get(id);
    if (key !== undefined) {
      this.#keys.delete(id);
      if (this.#unanswered.delete(key)) this.#tally.acknowledged++;
    } else if (id === this.#joinId && this.#position === null) {
      this.#position = [result.epoch, result.offset];
    }
  }

  /** A message answered with an error stays unanswered, and is sent again on the next connection. */
  #refused(id, code) {
    this.#tally.refuse(code);
    // The join failed: reconnect and try again.
    if (id === this.#joinId) this.cut();
  }

  #arrived(offset, data) {
    const expected = this.#position === null ? offset : this.#position[1] + 1;
    if (offset !== expected) this.#tally.misplaced++;
    if (this.#position !== null) this.#position[1] = offset;
    this.#tally.arrived(performance.now() - data.at);
  }
}
