/** `roomcast bench`: puts load on running nodes and prints the result. */
import { readFileSync } from 'node:fs';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { withoutSecrets } from '../logger.ts';
import { withAdvice } from './advice.ts';
import { Interruption } from './interruption.ts';
import type { BenchOptions } from './options.ts';
import { planBench } from './plan.ts';
import { jsonReport, textReport } from './report.ts';
import { isClean } from './result.ts';
import { runBench } from './run.ts';

/**
 * Prints the result. Returns the exit code: 0 if everything was delivered once, in order and without errors.
 */
export async function benchCommand(io: Io, urls: readonly URL[], options: BenchOptions): Promise<number> {
  const token = readToken(options);
  if (token instanceof Error) return fail(io, [token.message]);
  const plan = planBench(urls, options, token);
  if ('problems' in plan) return fail(io, plan.problems, EXIT.usage);
  const interruption = new Interruption();
  try {
    const print = io.stderrTerminal ? (line: string) => io.stderr(line) : null;
    const result = await runBench(plan, interruption.signal, print);
    io.stdout(withoutSecrets(options.json === true ? jsonReport(result) : textReport(result)));
    return isClean(result) ? 0 : 1;
  } catch (error) {
    return fail(io, [withoutSecrets(`${plan.urls.join(' ')}: ${withAdvice((error as Error).message)}`)]);
  } finally {
    interruption.dispose();
  }
}

function readToken({ token, tokenFile }: BenchOptions): string | null | Error {
  if (tokenFile === undefined) return token ?? null;
  try {
    return readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    return new Error(`--token-file: ${(error as Error).message}`);
  }
}
