/** Server-Sent Events as the HTML standard reads them, over a socket that a test can stop reading. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { within } from './wait.ts';

export interface ReadEvent {
  /** `message` where the stream names none. */
  readonly event: string;
  readonly data: string;
  readonly id?: string;
  readonly retry?: number;
}

/** The events of a text that ends with one. Comments are none. */
export function eventsOf(text: string): ReadEvent[] {
  return text
    .split('\n\n')
    .map(eventOf)
    .filter((event) => event !== null);
}

function eventOf(block: string): ReadEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const [, name, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
    if (name === undefined) continue;
    const before = fields.get(name);
    fields.set(name, name === 'data' && before !== undefined ? `${before}\n${value}` : value!);
  }
  const data = fields.get('data');
  if (data === undefined) return null;
  const [id, retry] = [fields.get('id'), fields.get('retry')];
  return {
    event: fields.get('event') ?? 'message',
    data,
    ...(id === undefined ? {} : { id }),
    ...(retry === undefined ? {} : { retry: Number(retry) }),
  };
}

export interface StreamRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** An answer that is no stream. */
export class StreamRefused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly code: string;
  /** The error as it is in the body. */
  readonly error: { readonly code: string; readonly message: string; readonly [detail: string]: unknown };

  constructor(response: IncomingMessage, body: string) {
    const { error } = JSON.parse(body) as Pick<StreamRefused, 'error'>;
    super(error.message);
    this.error = error;
    this.status = response.statusCode!;
    this.headers = response.headers;
    this.code = error.code;
  }
}

export class EventReader {
  readonly events: ReadEvent[] = [];
  /** The frames of all events, in order. */
  readonly frames: unknown[][] = [];
  /** The data of all messages, in order. */
  readonly messages: unknown[] = [];
  comments = 0;
  /** Once it has ended: whether the answer was whole, as one whose node was killed is not. */
  whole: boolean | null = null;
  readonly headers: IncomingMessage['headers'];
  readonly ended: Promise<void>;
  readonly #request: ClientRequest;
  readonly #response: IncomingMessage;
  #rest = '';
  #look: () => void = () => undefined;

  private constructor(sent: ClientRequest, response: IncomingMessage) {
    this.#request = sent;
    this.#response = response;
    this.headers = response.headers;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#read(text));
    this.ended = new Promise((resolve) => {
      response.on('error', () => undefined);
      response.on('close', () => {
        this.whole = response.complete;
        this.#look();
        resolve();
      });
    });
  }

  /** Rejects with `StreamRefused` for an answer that is no stream. */
  static open(url: string, { method, headers = {}, body }: StreamRequest = {}): Promise<EventReader> {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const options = {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { ...headers, ...(content === undefined ? {} : { 'Content-Type': 'application/json' }) },
      agent: false,
    };
    const opened = new Promise<EventReader>((resolve, reject) => {
      const sent = request(url, options, (response) => {
        if (response.headers['content-type'] === 'text/event-stream') {
          return resolve(new EventReader(sent, response));
        }
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => reject(new StreamRefused(response, text)));
      });
      sent.on('error', reject);
      sent.end(content);
    });
    return within(10_000, `an answer from ${new URL(url).pathname}`, opened);
  }

  #read(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop()!;
    for (const block of blocks) {
      const event = eventOf(block);
      if (event === null) this.comments++;
      else this.#take(event);
    }
    this.#look();
  }

  #take(event: ReadEvent): void {
    const frame = JSON.parse(event.data) as unknown[];
    this.events.push(event);
    this.frames.push(frame);
    if (frame[0] === 'message') this.messages.push(frame[5]);
  }

  /** As a browser keeps it. */
  get lastId(): string | undefined {
    return this.events.findLast(({ id }) => id !== undefined)?.id;
  }

  /** Resolves with the first event that is as asked for, also one that came before. */
  until(what: string, isIt: (frame: unknown[], reader: EventReader) => boolean): Promise<ReadEvent> {
    const found = new Promise<ReadEvent>((resolve, reject) => {
      let seen = 0;
      this.#look = () => {
        while (seen < this.events.length) {
          const at = seen++;
          if (isIt(this.frames[at]!, this)) return resolve(this.events[at]!);
        }
        if (this.whole !== null) reject(new Error(`the stream ended before ${what}`));
      };
      this.#look();
    });
    return within(20_000, what, found);
  }

  /** Resolves once so many messages came. */
  async heard(count: number): Promise<void> {
    await this.until(`${count} messages`, (_, reader) => reader.messages.length >= count);
  }

  /** Calls back with each event: those that came, and those that come. */
  onEvent(each: (event: ReadEvent) => void): void {
    let seen = 0;
    this.#look = () => {
      while (seen < this.events.length) each(this.events[seen++]!);
    };
    this.#look();
  }

  pause(): void {
    this.#response.socket.pause();
  }

  resume(): void {
    this.#response.socket.resume();
  }

  close(): void {
    this.#request.destroy();
  }
}
