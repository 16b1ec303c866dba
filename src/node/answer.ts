import { BackplaneError } from '../backplane/backplane.ts';
import type { Request } from '../connection/services.ts';
import type { Result } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';

/** Answers a request with what is asked of the backplane. An error that is not the backplane's is a fault of ours. */
export function answer(request: Request, asked: Promise<Result>, log: Logger): void {
  asked.then(
    (result) => request.ok(result),
    (error: unknown) => {
      if (error instanceof BackplaneError) return request.fail(error.code, error.message);
      log.error({ error }, 'a request could not be answered');
      request.fail('internal', 'the node failed to handle this command');
    },
  );
}
