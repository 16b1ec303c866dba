import { COMMAND_TYPES, ERROR_CODES, type ErrorLabel, zeros } from './labels.ts';
import { counter, counterBy, type SampledMetric } from './sampled-metric.ts';

/** What clients ask for. */
export class CommandStats {
  readonly received = zeros(COMMAND_TYPES);
  rateLimited = 0;
}

export function commandMetrics(stats: CommandStats): SampledMetric[] {
  return [
    counterBy(
      'type',
      'roomcast_commands_received_total',
      'Well-formed commands received from clients, whatever came of them. Malformed frames are not counted here but as error bad_frame.',
      () => stats.received,
    ),
    counter(
      'roomcast_commands_rate_limited_total',
      'Commands refused because their connection was over its rate. They are not counted as received.',
      () => stats.rateLimited,
    ),
  ];
}

/** A number for each code: `errors[code]++`. */
export type ErrorStats = Record<ErrorLabel, number>;

export function newErrorStats(): ErrorStats {
  return zeros(ERROR_CODES);
}

export function errorMetrics(stats: ErrorStats): SampledMetric[] {
  return [
    counterBy(
      'code',
      'roomcast_errors_total',
      'Errors answered to clients, as error frames and as HTTP error bodies. Closes without an error frame are not counted.',
      () => stats,
    ),
  ];
}
