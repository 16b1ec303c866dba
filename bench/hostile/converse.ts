/** A request on a connection of its own, and all that comes of it. */
import type { HostileInput } from './inputs.ts';
import { add, type Ledger } from './ledger.ts';
import { PATIENCE_MS } from './peer.ts';
import { nextArrival } from './server-frames.ts';
import { type Target, Wire } from './wire.ts';

/** Whoever is not answered by then leaves: most likely the node waits for the rest of what was begun. */
const QUIET_MS = 200;

/** Comes before the answer where the request asks for it. */
const CONTINUE = 'HTTP/1.1 100';

interface Head {
  readonly status: number;
  readonly lines: string;
  readonly body: string;
}

/** Resolves when the connection is closed. Rejects if nobody listens, or if the node does not close. */
export async function converse(target: Target, input: HostileInput, ledger: Ledger): Promise<void> {
  const wire = await Wire.open(target, input.number);
  ledger.sockets++;
  wire.write(input.bytes);
  while (!wire.isClosed && !isAnswered(wire.received)) {
    if (!(await wire.more(QUIET_MS))) break;
  }
  const isGivenUp = !wire.isClosed && wire.received.length === 0;
  wire.end();
  while (!wire.isClosed) {
    if (!(await wire.more(PATIENCE_MS)))
      throw new Error('the node does not close a connection that was ended');
  }
  ledger.outcome(input.kind, settle(wire, isGivenUp, ledger));
}

/** Whether the first answer is there as a whole; of one that goes on, its first frame or event. */
function isAnswered(received: Buffer): boolean {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = received.toString('latin1', 0, end);
  if (head.startsWith(CONTINUE)) return isAnswered(received.subarray(end + 4));
  if (head.startsWith('HTTP/1.1 101') || /^transfer-encoding:/im.test(head)) return received.length > end + 8;
  return received.length >= end + 4 + lengthOf(head);
}

function lengthOf(head: string): number {
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
}

/** Counts every answer on the connection; returns what came of the input. */
function settle(wire: Wire, isGivenUp: boolean, ledger: Ledger): string {
  let first: string | null = null;
  for (let head = nextHead(wire); head !== null; head = nextHead(wire)) {
    const what = counted(head, wire, ledger);
    first ??= what;
  }
  return first ?? (isGivenUp ? 'unfinished: left' : 'closed without an answer');
}

function nextHead(wire: Wire): Head | null {
  const end = wire.received.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const lines = wire.take(end + 4).toString('latin1');
  if (lines.startsWith(CONTINUE)) return nextHead(wire);
  const status = Number(lines.split(' ', 2)[1]);
  // An answer to HEAD names a length and has no body: the next answer follows at once, or nothing.
  const hasBody = status !== 101 && !wire.received.toString('latin1', 0, 9).startsWith('HTTP/1.1 ');
  return { status, lines, body: hasBody ? wire.take(lengthOf(lines)).toString() : '' };
}

function counted({ status, lines, body }: Head, wire: Wire, ledger: Ledger): string {
  if (status === 101) return upgraded(wire, ledger);
  if (/^content-type: text\/event-stream/im.test(lines)) return streamed(wire, ledger);
  // uWebSockets.js answers by itself what it cannot parse.
  if (!/^content-type:/im.test(lines)) {
    ledger.refusedAsHttp++;
    return `refused as HTTP ${status}`;
  }
  if (status >= 400 && /^connection: close/im.test(lines)) {
    ledger.upgradesRefused++;
    return `upgrade ${status}`;
  }
  // With a key of the wrong length an upgrade takes the way of a visit to the page: answered, and counted as refused.
  if (/"code":"bad_request","message":"(the (Upgrade|Connection) header|Sec-WebSocket-)/.test(body)) {
    ledger.upgradesRefused++;
    add(ledger.answers, '4xx');
    return `upgrade ${status}`;
  }
  ledger.answered(status, /^content-type: text\/plain/im.test(lines));
  const code = /"code":"(\w+)"/.exec(body)?.[1];
  return status >= 400 ? `${status} ${code ?? ''}`.trim() : `${status}`;
}

function upgraded(wire: Wire, ledger: Ledger): string {
  ledger.opened++;
  let code = 1006;
  let what = 'opened';
  for (let next = nextArrival(wire); next !== null; next = nextArrival(wire)) {
    if (next.type === 'close') code = next.code;
    if (next.type !== 'frames') continue;
    for (const frame of next.frames) {
      if (frame[0] !== 'error') continue;
      ledger.error(frame[2]);
      what = `error ${frame[2]}`;
    }
  }
  ledger.closed(code);
  return code === 1006 ? what : `closed ${code}`;
}

function streamed(wire: Wire, ledger: Ledger): string {
  ledger.streams++;
  ledger.answered(200);
  const text = wire.take(wire.received.length).toString();
  for (const [, code] of text.matchAll(/^data: ?\["error",0,"(\w+)"/gm)) ledger.error(code!);
  const closed = /^data: ?\["close",(\d+)/m.exec(text)?.[1];
  ledger.closed(closed === undefined ? 1005 : Number(closed));
  return closed === undefined ? 'stream' : `stream closed ${closed}`;
}
