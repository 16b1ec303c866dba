/** Prints results. */
import type { Percentiles } from '../../load/histogram.ts';
import type { Phase } from '../../load/phase.ts';
import { withAdvice } from './advice.ts';
import { type BenchResult, expectedDeliveries, isClean, warningsOf } from './result.ts';

const LABEL_WIDTH = 13;

/** A few lines for people, with a trailing newline. */
export function textReport(result: BenchResult): string {
  const { opening, phase, cut } = result;
  const lines = [
    shapeOf(result),
    '',
    line(
      'connections',
      `${count(opening.opened)} open in ${opening.seconds.toFixed(1)} s, each ${brief(opening.latencyUs)}`,
    ),
    line(
      'published',
      `${rate(phase.published, phase)}/s (${count(phase.published)} in ${phase.seconds.toFixed(1)} s)`,
    ),
    line(
      'delivered',
      `${rate(phase.delivered, phase)}/s, ${batchOf(phase)} room messages per WebSocket message`,
    ),
    line('latency', latencyOf(result)),
    ...(cut === null ? [] : [line('cut', cutOf(result))]),
    line('checked', checkedOf(phase)),
    line('errors', errorsOf(phase)),
    line('driver', driverOf(result)),
  ];
  if (result.ended !== null) lines.push('', `ended early: ${result.ended}`);
  const warnings = warningsOf(result).map((warning) => `warning: ${warning}`);
  return `${[...lines, ...(warnings.length > 0 ? ['', ...warnings] : [])].join('\n')}\n`;
}

/** The whole result for programs; times are microseconds if the name ends in `Us`, else seconds. */
export function jsonReport(result: BenchResult): string {
  const { plan, opening, phase, cut } = result;
  const { audience, cores } = plan.driver;
  const expected = expectedDeliveries(phase);
  const report = {
    clean: isClean(result),
    ended: result.ended,
    warnings: warningsOf(result),
    urls: plan.urls,
    shape: { ...audience, encoding: plan.encoding, load: plan.load, processes: cores.length },
    connections: { open: opening.opened, seconds: opening.seconds, joinUs: opening.latencyUs },
    seconds: phase.seconds,
    published: phase.published,
    publishedPerSecond: phase.published / phase.seconds,
    acknowledged: phase.acknowledged,
    expected,
    delivered: phase.delivered,
    deliveredPerSecond: phase.delivered / phase.seconds,
    deliveredShare: expected === 0 ? null : 1 - phase.lost / expected,
    unnumbered: phase.unnumbered,
    webSocketMessages: phase.wsMessages,
    receivedBytes: phase.bytes,
    latencyUs: phase.latencyUs,
    lost: phase.lost,
    repeated: phase.repeated,
    outOfOrder: phase.reordered,
    misrouted: phase.misrouted,
    errors: phase.trouble,
    firstError: phase.firstTrouble,
    cut: cut && { back: cut.opened, seconds: cut.seconds, triedAgain: cut.refused, joinUs: cut.latencyUs },
    driver: { busiestShare: phase.driverShare, cpuUs: phase.driverUs },
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

function shapeOf({ plan }: BenchResult): string {
  const { rooms, membersPerRoom, publishersPerRoom, publishersJoin, payloadBytes } = plan.driver.audience;
  const { load, encoding, urls } = plan;
  const ramp = load.kind === 'open' && load.rampSeconds ? ` after ${load.rampSeconds} s` : '';
  const parts = [
    `${plural(rooms, 'room')} of ${plural(membersPerRoom, 'member')}`,
    `${plural(publishersPerRoom, 'publisher')}${rooms > 1 ? ' each' : ''}${publishersJoin ? '' : ' from outside'}`,
    `${count(payloadBytes)} bytes`,
    load.kind === 'closed' ? `${count(load.inFlight)} in flight` : `${load.perSecond} publishes/s${ramp}`,
    encoding,
  ];
  return `${urls.join(' ')}: ${parts.join(', ')}`;
}

function latencyOf({ plan, phase, cut }: BenchResult): string {
  const { p50, p90, p99, p999, p9999, max, samples } = phase.latencyUs;
  if (samples === 0) return 'too few deliveries to measure';
  const values = { p50, p90, p99, 'p99.9': p999, 'p99.99': p9999, max };
  const all = Object.entries(values).map(([name, us]) => `${name} ${ms(us)}`);
  const from = plan.load.kind === 'open' ? 'from when a publish was due' : 'from the publish';
  const away = cut === null ? '' : ', including the time away';
  return `${all.join(', ')} (${from}${away}; ${count(samples)} samples)`;
}

function cutOf({ cut, phase }: BenchResult): string {
  if (cut === null) return '';
  const expected = expectedDeliveries(phase);
  const share = expected === 0 ? 100 : Math.floor((1 - phase.lost / expected) * 1e5) / 1e3;
  const kept =
    phase.unnumbered === 0 ? '' : '; without history, messages sent while a member is away are lost';
  const again = cut.refused === 0 ? '' : `, ${plural(cut.refused, 'attempt')} refused`;
  return `${count(cut.opened)} back in ${cut.seconds.toFixed(1)} s, each ${brief(cut.latencyUs)}${again}; ${share}% delivered${kept}`;
}

function checkedOf({ lost, repeated, reordered, misrouted, delivered, unnumbered }: Phase): string {
  const wrong = misrouted === 0 ? '' : `, in the wrong room ${count(misrouted)}`;
  if (unnumbered > 0 && unnumbered === delivered) {
    return `lost ${count(lost)}${wrong}; no history: checked against each publisher's count`;
  }
  const some =
    unnumbered === 0
      ? ''
      : `; ${count(unnumbered)} from rooms without history: checked against each publisher's count`;
  return `lost ${count(lost)}, repeated ${count(repeated)}, out of order ${count(reordered)}${wrong}${some}`;
}

function errorsOf({ trouble, firstTrouble }: Phase): string {
  return firstTrouble === null ? count(trouble) : `${count(trouble)}, the first: ${withAdvice(firstTrouble)}`;
}

function driverOf({ plan, phase }: BenchResult): string {
  const processes = plan.driver.cores.length;
  const share = `${Math.round(phase.driverShare * 100)}% of a core`;
  return processes === 1 ? share : `${processes} processes, the busiest at ${share}`;
}

function brief({ p50, p99 }: Percentiles): string {
  return `p50 ${ms(p50)}, p99 ${ms(p99)}`;
}

function batchOf({ delivered, wsMessages }: Phase): string {
  return wsMessages === 0 ? '0' : (delivered / wsMessages).toFixed(1);
}

function rate(events: number, { seconds }: Phase): string {
  const perSecond = events / seconds;
  return perSecond < 100 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

function line(label: string, text: string): string {
  return label.padEnd(LABEL_WIDTH) + text;
}

/** At least three significant digits. */
function ms(us: number): string {
  const value = us / 1000;
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : count(Math.round(value))} ms`;
}

function count(value: number): string {
  return value.toLocaleString('en-GB');
}

function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? '' : 's'}`;
}
