import type { Timer } from '../util/scheduler.ts';
import { ABNORMAL, type Cable, type ClientEnd, type Handshake } from './cable.ts';
import type { TestClock } from './test-clock.ts';

type Message = string | Uint8Array;

/** Opens a cable for a WebSocket. */
export interface Connector {
  readonly clock: TestClock;
  connect(socket: TestWebSocket, client: ClientEnd, handshake: Handshake): Cable;
}

/** A handler as the standard has it: `onmessage` and the like. */
// biome-ignore lint/suspicious/noExplicitAny: clients declare their own, narrower types of events.
export type EventHandler = ((event?: any) => any) | null;

/** The `close` event: Node 20 has no `CloseEvent`. */
export class TestCloseEvent extends Event {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(code: number, reason: string, wasClean: boolean) {
    super('close');
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
}

/** The `error` event. Beyond the standard it has a message, which says why. */
export class TestErrorEvent extends Event {
  readonly message: string;

  constructor(message: string) {
    super('error');
    this.message = message;
  }
}

/** How long a closing WebSocket waits for the answer of the broker. */
const CLOSE_TIMEOUT_MS = 2_000;
const MAX_REASON_BYTES = 123;
const BUFFERS = ['[object ArrayBuffer]', '[object SharedArrayBuffer]'];
const STATES = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const;

/**
 * A WebSocket as browsers have it, that reaches the test broker without a network. Made by the class that the
 * broker gives: `new broker.WebSocket(broker.url)`.
 */
export class TestWebSocket extends EventTarget {
  static readonly CONNECTING = STATES.CONNECTING;
  static readonly OPEN = STATES.OPEN;
  static readonly CLOSING = STATES.CLOSING;
  static readonly CLOSED = STATES.CLOSED;
  readonly CONNECTING = STATES.CONNECTING;
  readonly OPEN = STATES.OPEN;
  readonly CLOSING = STATES.CLOSING;
  readonly CLOSED = STATES.CLOSED;
  readonly url: string;
  readonly extensions = '';
  /** By the name of the property. */
  readonly #handlers: Record<'onopen' | 'onmessage' | 'onerror' | 'onclose', EventHandler> = {
    onopen: null,
    onmessage: null,
    onerror: null,
    onclose: null,
  };
  readonly #clock: TestClock;
  readonly #cable: Cable;
  #readyState: 0 | 1 | 2 | 3 = STATES.CONNECTING;
  #protocol = '';
  #binaryType: 'blob' | 'arraybuffer' = 'blob';
  /** Bytes that were sent when it was closing or closed already. */
  #unsentBytes = 0;
  #closeTimer: Timer | null = null;
  /** Until the blobs that were sent have been read: what is sent meanwhile waits behind them. */
  #reading: Promise<void> | null = null;

  constructor(connector: Connector, url: string | URL, protocols: string | readonly string[] = []) {
    super();
    const handshake = { url: webSocketUrl(url), protocols: checkedProtocols(protocols) };
    this.url = handshake.url.href;
    this.#clock = connector.clock;
    const client: ClientEnd = {
      opened: (subprotocol) => this.#opened(subprotocol),
      received: (message) => this.#received(message),
      closed: (code, reason) => this.#end(new TestCloseEvent(code, reason, true)),
      failed: (why) => this.#failed(why),
    };
    this.#cable = connector.connect(this, client, handshake);
  }

  get readyState(): 0 | 1 | 2 | 3 {
    return this.#readyState;
  }

  /** The subprotocol that the broker chose; '' before that, and if none was offered. */
  get protocol(): string {
    return this.#protocol;
  }

  /** Bytes that were sent and have not reached the broker. */
  get bufferedAmount(): number {
    return this.#cable.bytesToBroker + this.#unsentBytes;
  }

  get binaryType(): 'blob' | 'arraybuffer' {
    return this.#binaryType;
  }

  set binaryType(type: string) {
    // As in browsers, other values are ignored.
    if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type;
  }

  // As in the standard these are no properties of the object itself: the `EventTarget` of a simulated page would call such ones too.

  get onopen(): EventHandler {
    return this.#handlers.onopen;
  }

  set onopen(handler: EventHandler) {
    this.#handlers.onopen = handler;
  }

  get onmessage(): EventHandler {
    return this.#handlers.onmessage;
  }

  set onmessage(handler: EventHandler) {
    this.#handlers.onmessage = handler;
  }

  get onerror(): EventHandler {
    return this.#handlers.onerror;
  }

  set onerror(handler: EventHandler) {
    this.#handlers.onerror = handler;
  }

  get onclose(): EventHandler {
    return this.#handlers.onclose;
  }

  set onclose(handler: EventHandler) {
    this.#handlers.onclose = handler;
  }

  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void {
    if (this.#readyState === STATES.CONNECTING) {
      throw new DOMException(
        'the WebSocket is still connecting: wait for its open event',
        'InvalidStateError',
      );
    }
    const message = typeof data === 'string' ? data : bytesOf(data);
    if (this.#reading === null && !(message instanceof Promise)) this.#send(message);
    else void this.#clock.track(this.#sendAfter(this.#reading, message));
  }

  #send(message: Message): void {
    if (this.#readyState === STATES.OPEN) this.#cable.sendToBroker(message);
    else this.#unsentBytes += message.length;
  }

  #sendAfter(earlier: Promise<void> | null, message: Message | Promise<Message>): Promise<void> {
    const sent = Promise.all([message, earlier]).then(([read]) => {
      this.#send(read);
      if (this.#reading === sent) this.#reading = null;
    });
    this.#reading = sent;
    return sent;
  }

  close(code?: number, reason = ''): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(
        `the close code must be 1000, or from 3000 to 4999: got ${code}`,
        'InvalidAccessError',
      );
    }
    if (Buffer.byteLength(reason) > MAX_REASON_BYTES) {
      throw new DOMException(`the reason must have at most ${MAX_REASON_BYTES} bytes`, 'SyntaxError');
    }
    if (this.#readyState >= STATES.CLOSING) return;
    const wasOpen = this.#readyState === STATES.OPEN;
    this.#readyState = STATES.CLOSING;
    if (!wasOpen) return this.#cable.cut('the WebSocket was closed before it was open');
    this.#cable.closeToBroker(code ?? 1005, reason);
    this.#closeTimer = this.#clock.after(CLOSE_TIMEOUT_MS, () => {
      this.#cable.cut('the broker did not answer the close frame in time');
    });
  }

  // ---- from the cable -------------------------------------------------------------------------------------

  #opened(subprotocol: string): void {
    if (this.#readyState !== STATES.CONNECTING) return;
    this.#readyState = STATES.OPEN;
    this.#protocol = subprotocol;
    this.#dispatch(new Event('open'), this.onopen);
  }

  #received(message: Uint8Array | string): void {
    if (this.#readyState !== STATES.OPEN) return;
    const data = typeof message === 'string' ? message : this.#binary(message);
    this.#dispatch(new MessageEvent('message', { data }), this.onmessage);
  }

  #failed(why: string): void {
    if (this.#readyState === STATES.CLOSED) return;
    this.#readyState = STATES.CLOSED;
    this.#dispatch(new TestErrorEvent(why), this.onerror);
    this.#end(new TestCloseEvent(ABNORMAL, '', false));
  }

  #end(event: TestCloseEvent): void {
    this.#closeTimer?.cancel();
    this.#readyState = STATES.CLOSED;
    this.#cable.clientGone();
    this.#dispatch(event, this.onclose);
  }

  #binary(message: Uint8Array): ArrayBuffer | Blob {
    const bytes = new Uint8Array(message);
    return this.#binaryType === 'blob' ? new Blob([bytes]) : bytes.buffer;
  }

  /** The handler of the property, then the listeners. */
  #dispatch(event: Event, handler: EventHandler): void {
    const call = (happened: Event) => handler?.call(this, happened);
    this.addEventListener(event.type, call, { once: true });
    this.dispatchEvent(event);
  }
}

function webSocketUrl(given: string | URL): URL {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url?.protocol === 'http:') url.protocol = 'ws:';
  if (url?.protocol === 'https:') url.protocol = 'wss:';
  if (url === null || (url.protocol !== 'ws:' && url.protocol !== 'wss:') || url.hash !== '') {
    throw new DOMException(`not the URL of a WebSocket: ${given}`, 'SyntaxError');
  }
  return url;
}

function checkedProtocols(given: string | readonly string[]): readonly string[] {
  const protocols = typeof given === 'string' ? [given] : [...given];
  const isToken = (name: string) => /^[!#$%&'*+.^_`|~\w-]+$/.test(name);
  if (new Set(protocols).size !== protocols.length || !protocols.every(isToken)) {
    throw new DOMException(`not a list of different subprotocols: ${protocols.join(', ')}`, 'SyntaxError');
  }
  return protocols;
}

/** A copy: the sender may use its buffer again. A blob takes time to read. */
function bytesOf(data: ArrayBufferLike | ArrayBufferView | Blob): Uint8Array | Promise<Uint8Array> {
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  }
  // By name: where a page is simulated, classes may be of another realm.
  const kind = Object.prototype.toString.call(data);
  if (BUFFERS.includes(kind)) return new Uint8Array(data as ArrayBufferLike).slice();
  if (kind === '[object Blob]' || kind === '[object File]') {
    return (data as Blob).arrayBuffer().then((buffer) => new Uint8Array(buffer));
  }
  throw new TypeError(`a WebSocket sends a string, a buffer, a view of one, or a Blob: got ${kind}`);
}
