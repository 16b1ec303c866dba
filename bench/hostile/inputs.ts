/** The hostile inputs of a run, by number: the same for the same seed, so that one that did harm can be sent again. */
import { Random } from '../../test/support/random.ts';
import { hostileMessage, share } from './commands.ts';
import { hostileEvents, hostileRequest, hostileUpgrade } from './requests.ts';
import { type HostileTokens, presented } from './tokens.ts';

export const KINDS = ['msgpack', 'json', 'http', 'upgrade', 'events', 'tokens'] as const;
export type Kind = (typeof KINDS)[number];

export interface HostileInput {
  readonly number: number;
  readonly kind: Kind;
  /** What takes it: a WebSocket of this encoding, or a socket of its own. */
  readonly via: 'msgpack' | 'json' | 'http';
  readonly bytes: Buffer;
  /** Nothing that follows it on the same socket means anything. */
  readonly isBroken: boolean;
}

/** Messages are cheap, a connection for each input is not. */
const SHARES: readonly (readonly [share: number, kind: Kind])[] = [
  [42, 'msgpack'],
  [36, 'json'],
  [8, 'http'],
  [5, 'upgrade'],
  [4, 'events'],
  [5, 'tokens'],
];
/** Spreads numbers that follow one another. */
const STRIDE = 0x9e3779b9;

export function hostileInput(seed: number, number: number, tokens: HostileTokens): HostileInput {
  const random = new Random((seed ^ Math.imul(number + 1, STRIDE)) >>> 0);
  const kind = share(random, SHARES);
  const http = (bytes: Buffer): HostileInput => ({ number, kind, via: 'http', bytes, isBroken: false });
  switch (kind) {
    case 'msgpack':
    case 'json':
      return { number, kind, via: kind, ...hostileMessage(random, kind) };
    case 'http':
      return http(hostileRequest(random));
    case 'upgrade':
      return http(hostileUpgrade(random));
    case 'events':
      return http(hostileEvents(random));
    case 'tokens':
      return { number, kind, ...presented(tokens.next(random), random), isBroken: false };
  }
}
