/**
 * Opens a WebSocket to a node for one `hello` and one `ping`. Uses JSON, so that a traffic capture is
 * readable.
 */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { decodeServerFrames, encodeCommand } from '../../protocol/client-codec.ts';
import type { HelloInfo } from '../../protocol/frames.ts';
import { SUBPROTOCOL } from '../../protocol/subprotocol.ts';
import { codeOrMessage } from '../../util/error-words.ts';

export interface SocketOptions {
  /** `http:` or `https:`, with the path of the endpoint. */
  readonly url: URL;
  readonly token: string | null;
  /** For the whole exchange. */
  readonly timeoutMs: number;
}

export type SocketFacts =
  /** `hello` arrived, and a `ping` was answered, within `roundTripMs`. */
  | { readonly outcome: 'answered'; readonly node: string; readonly roundTripMs: number }
  /** The upgrade was answered with an HTTP status. `says`: the start of the body. */
  | { readonly outcome: 'refused'; readonly status: number; readonly says: string }
  /** It is open, but no `hello` arrived: the node waits for a token. */
  | { readonly outcome: 'silent' }
  /** Closed, with a code of `protocol/codes.ts`. */
  | { readonly outcome: 'closed'; readonly code: number; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string };

/** Never rejects: failures are facts too. */
export async function probeSocket(options: SocketOptions): Promise<SocketFacts> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  try {
    return await converse(options, signal);
  } catch (error) {
    if (signal.aborted) return { outcome: 'failed', reason: `no answer within ${options.timeoutMs} ms` };
    return { outcome: 'failed', reason: codeOrMessage(error) };
  }
}

async function converse({ url, token }: SocketOptions, signal: AbortSignal): Promise<SocketFacts> {
  const socket = new WebSocket(url, SUBPROTOCOL.json, {
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  });
  const end = () => socket.terminate();
  signal.addEventListener('abort', end);
  try {
    return await firstAnswer(socket, signal);
  } finally {
    signal.removeEventListener('abort', end);
    socket.terminate();
  }
}

/**
 * Waits for `hello`, then pings. Rejects if the socket cannot be opened, or receives anything but our
 * protocol.
 */
function firstAnswer(socket: WebSocket, signal: AbortSignal): Promise<SocketFacts> {
  return new Promise((resolve, reject) => {
    let hello: HelloInfo | null = null;
    let sentAt = 0;
    const take = (text: string) => {
      for (const frame of decodeServerFrames(text)) {
        if (frame[0] === 'hello') {
          hello = frame[1];
          sentAt = performance.now();
          socket.send(encodeCommand(['ping', 1], 'json'));
        } else if (frame[0] === 'ok' && frame[1] === 1 && hello !== null) {
          resolve({ outcome: 'answered', node: hello.node, roundTripMs: performance.now() - sentAt });
        }
      }
    };
    socket.on('error', reject);
    socket.on('unexpected-response', (_, response) => refusal(response).then(resolve, reject));
    socket.on('message', (data) => {
      try {
        take(String(data));
      } catch (error) {
        reject(error);
      }
    });
    socket.on('close', (code, reason) => resolve(ending(code, String(reason), signal.aborted, hello)));
  });
}

/** The HTTP answer instead of an upgrade. */
async function refusal(response: IncomingMessage): Promise<SocketFacts> {
  let says = '';
  for await (const chunk of response) says = (says + String(chunk)).slice(0, 300);
  return { outcome: 'refused', status: response.statusCode ?? 0, says };
}

/** No close frame arrived: we gave up waiting, or the connection was lost. */
const ABNORMAL = 1006;

function ending(code: number, reason: string, gaveUp: boolean, hello: HelloInfo | null): SocketFacts {
  if (!gaveUp && code !== ABNORMAL) return { outcome: 'closed', code, reason };
  if (!gaveUp) return { outcome: 'failed', reason: 'the connection was lost' };
  return hello === null ? { outcome: 'silent' } : { outcome: 'failed', reason: 'no answer to a ping' };
}
