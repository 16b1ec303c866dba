/** Where the nodes are, as people name them: WebSocket or HTTP, it is the same port. */
import { CLIENT_VARIABLES, type Environment, variable } from '../config/environment.ts';
import { UsageError } from './usage-error.ts';

export const DEFAULT_NODE_URL = 'ws://localhost:8080';

export function isNodeUrl(text: string): boolean {
  return URL.canParse(text) && /^(ws|http)s?:$/.test(new URL(text).protocol);
}

/** From `ROOMCAST_URL`, which may name several, or the default. Throws a `UsageError`. */
export function nodeUrlsIn(env: Environment): string[] {
  const text = variable(env, CLIENT_VARIABLES.url);
  if (text === null) return [DEFAULT_NODE_URL];
  const urls = text.split(',').map((url) => url.trim());
  const wrong = urls.find((url) => !isNodeUrl(url));
  if (wrong === undefined) return urls;
  throw new UsageError(
    `environment ${CLIENT_VARIABLES.url}: "${wrong}" is not a URL such as ${DEFAULT_NODE_URL}`,
  );
}

/** The HTTP API of the node with this URL. */
export function httpUrlOf(url: string): URL {
  return new URL('/', url.replace(/^ws/i, 'http'));
}
