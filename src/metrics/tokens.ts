import { type RevocationKindLabel, TOKEN_OUTCOMES, zeros } from './labels.ts';
import { counterBy, gaugeBy, type SampledMetric } from './sampled-metric.ts';

/** Tokens that clients present. */
export class TokenStats {
  readonly checks = zeros(TOKEN_OUTCOMES);
}

export interface TokenSamples {
  /** Users and tokens that the server API has revoked, as this node knows them. */
  revocations(): Readonly<Record<RevocationKindLabel, number>>;
}

export function tokenMetrics(stats: TokenStats, samples: TokenSamples): SampledMetric[] {
  return [
    counterBy(
      'outcome',
      'roomcast_token_checks_total',
      'Tokens presented by clients, in any way, by what came of it. unauthorized: forged, malformed or too large. unavailable: the keys could not be fetched. rate_limited: not checked, since too many tokens of the same address were refused. internal: a fault of the node.',
      () => stats.checks,
    ),
    gaugeBy(
      'kind',
      'roomcast_revocations',
      'Users and tokens that the server API has revoked, as this node knows them: the same on every node. Those that ended count for up to a minute more.',
      () => samples.revocations(),
    ),
  ];
}
