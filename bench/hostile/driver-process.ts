/** The driver in a process of its own, on the core that it is given: it is told what to send, and reports its ledger. */
import { createPrivateKey } from 'node:crypto';
import { HostileDriver } from './driver.ts';
import type { Ledger } from './ledger.ts';
import { HostileTokens } from './tokens.ts';
import type { Target } from './wire.ts';

export interface DriverSettings {
  readonly target: Target;
  readonly seed: number;
  readonly perSecond: number;
  /** In PEM. */
  readonly keys: { readonly publicPem: string; readonly trusted: string; readonly foreign: string };
}

/** Numbers of inputs to send. */
export interface Order {
  readonly first: number;
  readonly count: number;
}

export interface Report {
  readonly ledger: Ledger;
  readonly seconds: number;
  /** Why it gave up, or null. */
  readonly failure: string | null;
}

const { target, seed, perSecond, keys } = JSON.parse(process.argv[2]!) as DriverSettings;
const tokens = new HostileTokens(
  {
    publicPem: keys.publicPem,
    trusted: createPrivateKey(keys.trusted),
    foreign: createPrivateKey(keys.foreign),
  },
  Math.floor(Date.now() / 1000),
);

process.on('message', ({ first, count }: Order) => {
  const driver = new HostileDriver({ target, seed, tokens, perSecond });
  const beganAtMs = performance.now();
  const report = (failure: string | null) => {
    const seconds = (performance.now() - beganAtMs) / 1000;
    process.send?.({ ledger: driver.ledger, seconds, failure } satisfies Report);
  };
  driver.run(first, count).then(
    () => report(null),
    (error: unknown) => report(String(error)),
  );
});
process.once('disconnect', () => process.exit(0));
