/** What a client is told that sends too much, and when that ends its connection. */
import type { FloodLabel } from '../metrics/labels.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';
import { type Allowance, FLOOD } from './allowance.ts';
import type { OverLimit } from './over-limit.ts';
import type { SendingLimits } from './sending-limits.ts';
import type { Socket } from './socket.ts';

/** The connection of the client. */
export interface Offender {
  readonly id: string;
  readonly socket: Socket;
  readonly context: {
    readonly limits: SendingLimits;
    readonly metrics: NodeMetrics;
    readonly log: Logger;
  };
  fail(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void;
  overLimit(id: number, refusal: OverLimit): void;
  close(reason: CloseReason): void;
}

/** The error that a client gets before it is closed with 4009. */
const FLOOD_MESSAGES: Readonly<Record<FloodLabel, string>> = {
  messages: 'too many messages without a command',
  control_frames: 'too many pings or pongs',
  commands: 'too many commands: after a refusal, wait for retryAfterMs',
  bytes: 'too many bytes at once: after a refusal, wait for retryAfterMs',
};

/** The allowance did not let a command pass: `verdict` is what it said. */
export function refuseCommand(client: Offender, allowance: Allowance, id: number, verdict: number): void {
  const { limits, metrics } = client.context;
  metrics.commands.rateLimited++;
  if (verdict === FLOOD) closeFlood(client, allowance, 'commands', id);
  else client.overLimit(id, allowance.refusal(limits, verdict));
}

/** Sends the error, as the reply to a command or with id 0, and closes the connection. */
export function closeFlood(client: Offender, allowance: Allowance, what: FloodLabel, id = 0): void {
  const { metrics, limits, log } = client.context;
  metrics.connections.floods[what]++;
  log.debug(
    { connection: client.id, address: client.socket.remoteAddress, what },
    'connection sent too much',
  );
  // The two others have no setting.
  const isSet = what === 'commands' || what === 'bytes';
  const details = isSet ? allowance.refusal(limits, null).details : undefined;
  client.fail(id, 'rate_limited', FLOOD_MESSAGES[what], details);
  client.close(CLOSE.rateLimited);
}
