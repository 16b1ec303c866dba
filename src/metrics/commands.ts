import { COMMAND_TYPES, ERROR_CODES, type ErrorLabel, zeros } from './labels.ts';
import { counter, counterBy, type SampledMetric } from './sampled-metric.ts';

/** Commands from clients. */
export class CommandStats {
  readonly received = zeros(COMMAND_TYPES);
  rateLimited = 0;
}

export function commandMetrics(stats: CommandStats): SampledMetric[] {
  return [
    counterBy(
      'type',
      'roomcast_commands_received_total',
      'Well-formed commands received from clients, whatever their outcome. Malformed frames count as error bad_frame instead.',
      () => stats.received,
    ),
    counter(
      'roomcast_commands_rate_limited_total',
      'Commands refused because their connection exceeded its rate. They do not count as received.',
      () => stats.rateLimited,
    ),
  ];
}

/** One counter per code: `errors[code]++`. */
export type ErrorStats = Record<ErrorLabel, number>;

export function newErrorStats(): ErrorStats {
  return zeros(ERROR_CODES);
}

export function errorMetrics(stats: ErrorStats): SampledMetric[] {
  return [
    counterBy(
      'code',
      'roomcast_errors_total',
      'Errors sent to clients, as error frames and as HTTP error bodies. Excludes closes without an error frame, and refused upgrades: see roomcast_upgrades_rejected_total.',
      () => stats,
    ),
  ];
}
