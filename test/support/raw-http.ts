/** HTTP as bytes, for what no HTTP library would send, or would hide. */
import { connect } from 'node:net';
import { within } from './wait.ts';

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  /** Lines as they are, in Latin-1. `Host` is added where it is not among them. */
  readonly headers?: readonly string[];
  readonly body?: Uint8Array | string;
}

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** All bytes that came behind the headers, as text. */
  readonly body: string;
}

const REFUSED_AT_ONCE = 'GET / HTTP/1.0\r\n\r\n';

/** One request on a connection of its own. `body` is whatever the node sends, also where there should be none. */
export async function request(url: string, raw: RawRequest): Promise<RawAnswer> {
  const text = await conversation(url, requestBytes(url, raw), REFUSED_AT_ONCE);
  const [head = '', ...rest] = text.replace(/HTTP\/1\.1 505 [\s\S]*$/, '').split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(headers),
    body: rest.join('\r\n\r\n'),
  };
}

/** Sends bytes, and others once an answer has come; resolves with all that was received when the node closes. */
export function conversation(url: string, first: Uint8Array, second: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const closed = new Promise<string>((resolve) => {
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      if (!received.includes('\r\n\r\n') && (received + text).includes('\r\n\r\n')) socket.write(second);
      received += text;
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(received));
    socket.write(first);
  });
  return within(10_000, 'the node to close the connection', closed);
}

export function requestBytes(url: string, raw: RawRequest): Buffer {
  const { method = 'GET', path, headers = [], body } = raw;
  const content = Buffer.from(body ?? '');
  const lines = [`${method} ${path} HTTP/1.1`, ...headers];
  if (!headers.some((line) => /^host:/i.test(line))) lines.push(`Host: ${new URL(url).host}`);
  if (body !== undefined) lines.push(`Content-Length: ${content.length}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), content]);
}
