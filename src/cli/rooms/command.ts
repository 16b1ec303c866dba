/** What the commands of a client have in common: a connection, an end, and what is said then. */
import type { RoomcastClient } from '../../client/node.ts';
import { RefusedError } from '../../client/public.ts';
import { sentenceOf } from '../../util/error-words.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { withoutSecrets } from '../logger.ts';
import { UsageError } from '../usage-error.ts';
import { Ending } from './ending.ts';
import { type LinkSettings, openLink } from './link.ts';
import type { LinkOptions } from './options.ts';
import type { Waits } from './waits.ts';

export interface Work {
  /** Does what the command is for. It ends the command itself, or by settling: with 0, or with what it threw. */
  run(client: RoomcastClient, ending: Ending, waits: Waits): Promise<void>;
  /** After the end, before the connection closes: what must still happen, such as printing what has arrived. */
  finish?(): Promise<void>;
  /** After the connection was closed: one more line for people. */
  summary?(exitCode: number): string | null;
}

/** Runs the work over a connection. Returns the exit code. */
export async function withLink(
  io: Io,
  options: LinkOptions,
  settings: LinkSettings,
  work: Work,
): Promise<number> {
  const ending = new Ending();
  ending.takeSignals();
  ending.endAfter(options.timeout);
  const failed = (error: unknown) => ending.end(exitCodeOf(error), withoutSecrets(sentenceOf(error)));
  let client: RoomcastClient | null = null;
  try {
    const link = openLink(io, options, ending, settings);
    client = link.client;
    work.run(client, ending, link.waits).then(() => ending.end(EXIT.ok), failed);
  } catch (error) {
    failed(error);
  }
  const { exitCode, line } = await ending.reached;
  await work.finish?.();
  client?.close();
  // Promises that closing has settled report first.
  await new Promise((resolve) => setImmediate(resolve));
  ending.dispose();
  const lines = [line, work.summary?.(exitCode) ?? null].filter((one) => one !== null);
  return fail(io, lines, exitCode);
}

/** Refusals that say nothing against the request: the node cannot serve it now. */
const PASSING: readonly string[] = ['unavailable', 'timeout', 'internal', 'rate_limited'];

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (!(error instanceof RefusedError)) return EXIT.failed;
  return PASSING.includes(error.code) ? EXIT.unavailable : EXIT.refused;
}
