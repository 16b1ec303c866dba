/**
 * A WebSocket to a node for the time of a `hello` and a `ping`, by hand: Node 20 has no client of its own, and a package for
 * three frames would be one more to trust. Speaks JSON, so that what is sent and received can be read in a capture.
 */
import { randomBytes } from 'node:crypto';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { decodeServerFrames, encodeCommand } from '../../protocol/client-codec.ts';
import type { HelloInfo, ServerFrame } from '../../protocol/frames.ts';
import { SUBPROTOCOL } from '../../protocol/subprotocol.ts';
import { takeMessage } from './websocket-message.ts';

export interface SocketOptions {
  /** `http:` or `https:`, with the path of the endpoint. */
  readonly url: URL;
  readonly token: string | null;
  /** For all of it. */
  readonly timeoutMs: number;
}

export type SocketFacts =
  /** `hello` came, and a `ping` was answered. `roundTripMs` of the latter. */
  | { readonly outcome: 'answered'; readonly node: string; readonly roundTripMs: number }
  /** The upgrade was answered with an HTTP status. `says`: the beginning of the body. */
  | { readonly outcome: 'refused'; readonly status: number; readonly says: string }
  /** It is open, and no `hello` came: the node waits for a token. */
  | { readonly outcome: 'silent' }
  /** Closed, with a code of `protocol/codes.ts`. */
  | { readonly outcome: 'closed'; readonly code: number; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string };

type Upgraded = { readonly socket: Duplex } | { readonly response: IncomingMessage };

/** Never rejects: what goes wrong is a fact. */
export async function probeSocket(options: SocketOptions): Promise<SocketFacts> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  try {
    const upgraded = await upgrade(options, signal);
    if ('response' in upgraded) return await refusal(upgraded.response);
    const { socket } = upgraded;
    const end = () => socket.destroy();
    signal.addEventListener('abort', end);
    try {
      return await converse(socket);
    } finally {
      signal.removeEventListener('abort', end);
      socket.destroy();
    }
  } catch (error) {
    if (signal.aborted) return { outcome: 'failed', reason: `no answer within ${options.timeoutMs} ms` };
    return { outcome: 'failed', reason: (error as NodeJS.ErrnoException).code ?? (error as Error).message };
  }
}

function upgrade({ url, token }: SocketOptions, signal: AbortSignal): Promise<Upgraded> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request: ClientRequest = send(url, {
      signal,
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        'Sec-WebSocket-Protocol': SUBPROTOCOL.json,
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      },
    });
    request.on('error', reject);
    request.on('response', (response) => resolve({ response }));
    request.on('upgrade', (_, socket, head) => {
      // What came with the answer belongs to the stream; an error ends that, and is seen there.
      socket.unshift(head);
      socket.on('error', () => socket.destroy());
      resolve({ socket });
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<SocketFacts> {
  let says = '';
  for await (const chunk of response) says = (says + String(chunk)).slice(0, 300);
  return { outcome: 'refused', status: response.statusCode ?? 0, says };
}

/** Waits for `hello`, then pings. */
async function converse(socket: Duplex): Promise<SocketFacts> {
  let hello: HelloInfo | null = null;
  let sentAt = 0;
  for await (const message of messagesOf(socket)) {
    if ('code' in message) return { outcome: 'closed', ...message };
    for (const frame of message.frames) {
      if (frame[0] === 'hello') {
        hello = frame[1];
        sentAt = performance.now();
        socket.write(masked(String(encodeCommand(['ping', 1], 'json'))));
      } else if (frame[0] === 'ok' && frame[1] === 1 && hello !== null) {
        return { outcome: 'answered', node: hello.node, roundTripMs: performance.now() - sentAt };
      }
    }
  }
  return hello === null ? { outcome: 'silent' } : { outcome: 'failed', reason: 'no answer to a ping' };
}

type Received =
  | { readonly frames: readonly ServerFrame[] }
  | { readonly code: number; readonly reason: string };

async function* messagesOf(socket: Duplex): AsyncGenerator<Received> {
  let received: Buffer = Buffer.alloc(0);
  for await (const chunk of chunksOf(socket)) {
    received = Buffer.concat([received, chunk]);
    for (let next = takeMessage(received); next !== null; next = takeMessage(received)) {
      received = next.rest;
      if (next.kind === 'text') yield { frames: decodeServerFrames(next.payload.toString()) };
      if (next.kind === 'close') {
        const code = next.payload.length >= 2 ? next.payload.readUInt16BE(0) : 1005;
        yield { code, reason: next.payload.toString('utf8', 2) };
      }
    }
  }
}

/** Ends, rather than throws, when the socket is gone: what was received until then is what counts. */
async function* chunksOf(socket: Duplex): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of socket) yield chunk as Buffer;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

/** A text message of less than 126 bytes, under a mask, as a client has to send it. */
function masked(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const head = Buffer.from([0x81, 0x80 | payload.length]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at % 4]!)]);
}
