/** Where WebSockets cannot be opened: rooms over an event stream, publishes as requests. Loaded when it is needed. */
import type { ServerFrame } from '../protocol/frames.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { SseLink } from './sse-link.ts';
import type { Transport } from './transport.ts';

/** How long a node may take to answer. */
const ANSWER_MS = 5_000;

export function sseTransport(environment: Environment, codec: ClientCodec): Transport {
  let answered = false;
  return {
    name: 'sse',
    codec: frameCodec(codec),
    /** A node that answers requests before and after a WebSocket that does not open is not away. */
    async isNeeded(url) {
      const before = answered;
      answered = await answers(`${httpUrl(url)}/v1/events`, environment);
      return before && answered;
    },
    open(url, _protocol, token, events) {
      return new SseLink({ base: httpUrl(url), token, environment, codec, events });
    },
  };
}

/** A refusal is an answer; a proxy that cannot reach its node, or a node that is full or draining, gives none. */
async function answers(url: string, { scheduler }: Environment): Promise<boolean> {
  const abort = new AbortController();
  const timer = scheduler.after(ANSWER_MS, () => abort.abort());
  const response = await fetch(url, { method: 'POST', signal: abort.signal }).catch(() => null);
  timer.cancel();
  return response !== null && response.status < 500;
}

/** Nothing is encoded before a request is made: frames pass as they are. To the session a chunk is opaque. */
function frameCodec(codec: ClientCodec): ClientCodec {
  const opaque = (frame: unknown) => frame as Chunk;
  return {
    ...codec,
    encode: opaque,
    encodePublish: (id, room, data, options) => opaque(['publish', id, room, data, options]),
    join: opaque,
    sizeOf: (chunk) => {
      const [type, , , data] = chunk as unknown as [string, number, string, Chunk];
      return type === 'publish' ? codec.sizeOf(data) : 0;
    },
    decode: (message) => message as ServerFrame[],
  };
}

/** `wss://host/ws` is `https://host`. */
function httpUrl(given: string): string {
  const url = new URL(given);
  return `${url.protocol.replace('ws', 'http')}//${url.host}${url.pathname.replace(/\/ws\/?$|\/$/, '')}`;
}
