import type { Logger } from '../util/log.ts';
import { type ClientAddresses, isPrivate } from './client-address.ts';
import type { HttpRequest } from './uws.ts';

/**
 * Says once that someone who is not trusted names other addresses: most likely a balancer that `trustProxy` does not
 * name, whose clients then all count as one address.
 */
export class ProxyWarning {
  readonly #addresses: ClientAddresses;
  readonly #log: Logger;
  #hasWarned = false;

  constructor(addresses: ClientAddresses, log: Logger) {
    this.#addresses = addresses;
    this.#log = log;
  }

  /** `peer`: finds the address that connected, where that matters. */
  look(req: HttpRequest, peer: () => string): void {
    if (this.#hasWarned || req.getHeader('x-forwarded-for') === '') return;
    const address = peer();
    if (address === '' || this.#addresses.trusts(address)) return;
    this.#hasWarned = true;
    const who = isPrivate(address) ? 'a balancer' : 'your proxy';
    this.#log.warn(
      { address },
      `X-Forwarded-For from ${address} is ignored, since trustProxy does not name it: if it is ${who}, name it there, or all of its clients share the limits of one address`,
    );
  }
}
