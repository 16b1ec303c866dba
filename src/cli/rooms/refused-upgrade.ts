/** What a node, or a proxy before it, answered instead of opening a WebSocket. */
import type { IncomingMessage } from 'node:http';

/** An error of a node has a few hundred bytes. */
const MAX_CHARACTERS = 4096;

/** The status and, where it comes from a node, what that says. */
export async function answerOf(response: IncomingMessage): Promise<string> {
  const status = `the answer was ${response.statusCode} ${response.statusMessage ?? ''}`.trimEnd();
  const said = saidBy(await bodyOf(response));
  return said === null ? status : `${status}: ${said}`;
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let body = '';
  try {
    for await (const piece of response) {
      body += piece;
      if (body.length > MAX_CHARACTERS) return '';
    }
    return body;
  } catch {
    return '';
  }
}

function saidBy(body: string): string | null {
  try {
    const message: unknown = JSON.parse(body)?.error?.message;
    return typeof message === 'string' ? message : null;
  } catch {
    return null;
  }
}
