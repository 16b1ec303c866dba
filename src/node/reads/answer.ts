import { BackplaneError } from '../../backplane/backplane.ts';
import type { Request } from '../../connection/services.ts';
import type { Logger } from '../../util/log.ts';
import { ReadRefused } from './read-gate.ts';

/** Answers a request with an error. Anything but a backplane error or a refusal is our own fault. */
export function failWith(request: Request, error: unknown, log: Logger): void {
  if (error instanceof BackplaneError) return request.fail(error.code, error.message);
  if (error instanceof ReadRefused) return request.fail(error.code, error.message, error.details);
  log.error({ error }, 'cannot answer a request');
  request.fail('internal', 'the node failed to handle this command');
}
