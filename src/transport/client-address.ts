/** Finds which address a request came from, when there are proxies in between. */
import { BlockList, isIP, SocketAddress } from 'node:net';
import { networkOf } from '../util/network-of.ts';
import type { HttpRequest, HttpResponse } from './uws.ts';

/**
 * Whose `X-Forwarded-For` is trusted. `false`: nobody's. `true`: any peer's, for one entry: the last one. A
 * list: proxies with these addresses (`10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `loopback`), any number in a row.
 */
export type TrustProxy = boolean | readonly string[];

/** `loopback` in a list of proxies. */
const LOOPBACK = ['127.0.0.0/8', '::1'];
/** Networks that are not routed on the internet. Carriers and clouds use 100.64.0.0/10 inside. */
const PRIVATE = [
  ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', '100.64.0.0/10'],
  ...['fc00::/7', 'fe80::/10'],
];

/** Finds the address of clients. Made once. */
export class ClientAddresses {
  /** Whether `X-Forwarded-For` is read at all. */
  readonly isProxied: boolean;
  /** Whether proxies may name the client as they connect (PROXY protocol), besides. */
  readonly usesProxyProtocol: boolean;
  readonly #trust: TrustProxy;
  readonly #proxies: BlockList;

  constructor(trust: TrustProxy, usesProxyProtocol = false) {
    this.usesProxyProtocol = usesProxyProtocol;
    this.isProxied = trust === true || (trust !== false && trust.length > 0);
    this.#trust = trust;
    this.#proxies = blockList(typeof trust === 'boolean' ? [] : trust);
  }

  /**
   * `peer`: the address that connected. `forwardedFor`: all of its `X-Forwarded-For` lines in order, joined
   * with commas. Each proxy appends the address that it was reached from, and only that is known to be true:
   * entries are taken from the right, as long as the proxy that wrote them is trusted. Stops at an entry that
   * is not an address. `proxied`: whom a trusted peer connected for, as it said with PROXY protocol; that is
   * one hop.
   */
  of(peer: string, forwardedFor: string, proxied = ''): string {
    let client = addressOf(peer) ?? peer;
    if (proxied !== '' && this.trusts(client)) {
      client = addressOf(proxied) ?? client;
      if (this.#trust === true) return client;
    }
    if (!this.isProxied || forwardedFor === '') return client;
    for (const entry of forwardedFor.split(',').reverse()) {
      if (this.#trust !== true && !this.#isProxy(client)) break;
      const next = addressOf(entry);
      if (next === null) break;
      client = next;
      if (this.#trust === true) break;
    }
    return client;
  }

  /**
   * What the limits of addresses count a client by, whose address `of` found; see `networkOf`. Null: they do not
   * apply. That is so for a trusted proxy that names nobody: it stands for any number of clients. One that passes on a
   * header which cannot be read is counted itself, or a client would send such a header to be counted by nothing.
   */
  keyOf(client: string, forwardedFor: string, proxied = ''): string | null {
    if (isIP(client) === 0) return null;
    const namesNobody = forwardedFor === '' && proxied === '';
    return namesNobody && this.trusts(client) ? null : networkOf(client);
  }

  /** Whether the address that connected may say for whom. */
  trusts(peer: string): boolean {
    return this.#trust === true || this.#isProxy(addressOf(peer) ?? peer);
  }

  #isProxy(address: string): boolean {
    // Most nodes trust nobody, and a look at a list takes as long as the rest of a request.
    return this.isProxied && contains(this.#proxies, address);
  }
}

/** Whether an address is of a network that is not routed on the internet. Takes what `networkOf` returns too. */
export function isPrivate(address: string): boolean {
  return contains(privateNetworks, address.replace('/64', ''));
}

function contains(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

/**
 * An address in its shortest form, without port, brackets and zone; an IPv4 address inside IPv6 as IPv4. Null
 * if the text is not an address.
 */
export function addressOf(text: string): string | null {
  // The common case.
  if (isIP(text) === 4) return text;
  const entry = text.trim().replace(/^"(.*)"$/, '$1');
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(entry)?.[1] ?? /^(\d[\d.]*):\d+$/.exec(entry)?.[1] ?? entry;
  const address = bare.replace(/%.*$/, '');
  const version = isIP(address);
  if (version === 0) return null;
  if (version === 4) return address;
  const short = new SocketAddress({ address, family: 'ipv6' }).address;
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(short)?.[1] ?? short;
}

/** Whether an address, in the form that `addressOf` returns, belongs to this machine. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address === LOOPBACK_KEY;
}

/** Empty if the response is gone. */
export function peerAddress(res: Pick<HttpResponse, 'getRemoteAddressAsText'>): string {
  return Buffer.from(res.getRemoteAddressAsText()).toString();
}

/**
 * Whom the peer connected for, as it said with PROXY protocol version 2; empty if it said nothing, or does not
 * matter. uWebSockets.js reads such a header before every request, so one that a client sends behind its first
 * request would take the place of the proxy's: an answer ends the connection, and comes in a later turn, so that
 * uWebSockets.js gives up on a connection with another request in the same read.
 */
export function proxiedAddress(
  res: Pick<HttpResponse, 'getProxiedRemoteAddressAsText'>,
  { usesProxyProtocol }: ClientAddresses,
): string {
  return usesProxyProtocol ? Buffer.from(res.getProxiedRemoteAddressAsText()).toString() : '';
}

/** All lines of `X-Forwarded-For`: `getHeader` returns the first, which a client may have made up. */
export function forwardedFor(req: HttpRequest): string {
  const lines: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') lines.push(value);
  });
  return lines.join(',');
}

/** Takes entries that passed the checks of the configuration. */
function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries.flatMap((text) => (text === 'loopback' ? LOOPBACK : text))) {
    const [address, prefix] = entry.split('/') as [string, string | undefined];
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

const privateNetworks = blockList(PRIVATE);
/** `::1` as `networkOf` has it. */
const LOOPBACK_KEY = networkOf('::1');
