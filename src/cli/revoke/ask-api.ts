/** One request to the HTTP API, with the key of the operator. */
import { CLIENT_VARIABLES, type Environment, variable } from '../../config/environment.ts';
import { isObject } from '../../config/problems.ts';
import { EXIT } from '../exit-codes.ts';
import { withRemedy } from '../remedy.ts';

export interface ApiRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly body: string | undefined;
}

/** The message is for people. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly exitCode: number;

  constructor(says: string, exitCode: number) {
    super(says);
    this.exitCode = exitCode;
  }
}

const TIMEOUT_MS = 10_000;

/** The body of the answer of the first node that is reached. Rejects with an `ApiProblem`. */
export async function askApi(env: Environment, nodes: readonly URL[], request: ApiRequest): Promise<unknown> {
  const key = variable(env, CLIENT_VARIABLES.adminKey);
  const failures: string[] = [];
  for (const node of nodes) {
    const answer = await send(new URL(request.path, node), key, request).catch((error: Error) => error);
    if (!(answer instanceof Error)) return bodyOf(answer, node, key);
    failures.push(`cannot reach ${node.origin}: ${withRemedy(reasonOf(answer), node.href)}`);
  }
  throw new ApiProblem(failures.join('; '), EXIT.unavailable);
}

function send(url: URL, key: string | null, { method, body }: ApiRequest): Promise<Response> {
  const headers = {
    'Content-Type': 'application/json',
    ...(key !== null && { Authorization: `Bearer ${key}` }),
  };
  return fetch(url, { method, body: body ?? null, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

async function bodyOf(answer: Response, node: URL, key: string | null): Promise<unknown> {
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok && isObject(body)) return body;
  const error = isObject(body) ? body.error : undefined;
  const says = isObject(error) ? `${error.code}: ${error.message}` : 'nothing that a node would say';
  const hint = key === null ? `; set ${CLIENT_VARIABLES.adminKey}` : '';
  throw new ApiProblem(`${node.origin} answered ${answer.status}: ${says}${hint}`, EXIT.refused);
}

/** `fetch` hides the actual error in its cause. */
function reasonOf({ cause, message }: Error): string {
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
