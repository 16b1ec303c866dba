/** Whether a request comes from this machine and not from a web page of another site. */
import { addressOf, isLoopback } from '../client-address.ts';
import type { HttpRequest } from '../uws.ts';

/** What the check looks at. '' for an absent header. */
export interface RequestFacts {
  /** The address that connected. */
  readonly peer: string;
  readonly host: string;
  readonly origin: string;
  readonly fetchSite: string;
  /** A header that only a proxy writes, or '': a client behind it may be anywhere. */
  readonly forwardedBy: string;
}

const PROXY_HEADERS = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'x-real-ip',
  'via',
];

export function requestFacts(req: HttpRequest, peer: string): RequestFacts {
  return {
    peer,
    host: req.getHeader('host'),
    origin: req.getHeader('origin'),
    fetchSite: req.getHeader('sec-fetch-site'),
    forwardedBy: PROXY_HEADERS.find((name) => req.getHeader(name) !== '') ?? '',
  };
}

/** A sentence on why the request is not local, or null if it is. */
export function notLocal({ peer, host, origin, fetchSite, forwardedBy }: RequestFacts): string | null {
  const address = addressOf(peer) ?? peer;
  if (!isLoopback(address)) return `it came from ${address}, not from this machine`;
  if (forwardedBy !== '') return `it came through a proxy (${forwardedBy})`;
  // A page whose own name resolves to 127.0.0.1 can send requests here, but not with another Host.
  if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host)) {
    return `its Host is ${shown(host)}, not localhost, 127.0.0.1 or [::1]`;
  }
  if (origin !== '' && !isSameHost(origin, host)) return `it came from a page of ${shown(origin)}`;
  // Also sent without Origin, as for a link or an image.
  if (fetchSite !== '' && fetchSite !== 'same-origin' && fetchSite !== 'none') {
    return `it came from a page of another site (Sec-Fetch-Site: ${shown(fetchSite)})`;
  }
  return null;
}

function isSameHost(origin: string, host: string): boolean {
  return origin.toLowerCase().replace(/^https?:\/\//, '') === host.toLowerCase();
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
