import { CLOSE } from '../../protocol/codes.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { memberOf, type NodeFacts } from './probe-node.ts';
import type { SocketFacts } from './probe-socket.ts';
import { duration } from './units.ts';

const SLOW_MS = 500;

/** Whether a client that comes to this node would be served, and if not, why. */
export function checkNode(facts: NodeFacts, { needsToken }: { needsToken: boolean }): Finding[] {
  const about = `node ${facts.url.host}`;
  const { health } = facts;
  if ('failure' in health) {
    return [
      problem(
        about,
        `cannot reach ${facts.url.href}: ${health.failure}`,
        'check that it runs, listens on this address, and that nothing in between closes the port',
      ),
    ];
  }
  if (memberOf(health, 'status') !== 'alive') {
    return [
      problem(
        about,
        `/healthz answers ${health.status}, not as a node does`,
        'check that the URL leads to a node',
      ),
    ];
  }
  const socket = facts.socket === null ? [] : [checkSocket(about, facts.socket, needsToken)];
  return [readiness(about, facts), ...socket, ...history(about, facts)];
}

function history(about: string, { shortHistories }: NodeFacts): Finding[] {
  if (shortHistories === null || shortHistories === 0) return [];
  const rooms = shortHistories === 1 ? '1 room keeps' : `${shortHistories} rooms keep`;
  return [
    warning(
      about,
      `${rooms} less than 30 s of messages: a client that reconnects after longer finds a gap`,
      'raise history.messages, or that of the rule of the busy rooms (see roomcast_rooms_short_history)',
    ),
  ];
}

function readiness(about: string, { ready }: NodeFacts): Finding {
  if ('failure' in ready) {
    return problem(about, `/readyz does not answer: ${ready.failure}`, 'look at the log of the node');
  }
  if (ready.status === 200) return ok(about, 'alive and ready');
  const reason = memberOf(ready, 'reason');
  return problem(
    about,
    `not ready: ${typeof reason === 'string' ? reason : `/readyz answers ${ready.status}`}`,
    'it gets no traffic until that is over; see RoomcastNotReady in deploy/RUNBOOK.md',
  );
}

function checkSocket(about: string, socket: SocketFacts, needsToken: boolean): Finding {
  switch (socket.outcome) {
    case 'answered': {
      const says = `WebSocket, hello and ping work: node ${socket.node}, ${duration(Math.max(1, socket.roundTripMs))}`;
      if (socket.roundTripMs < SLOW_MS) return ok(about, says);
      return warning(
        about,
        says,
        'look at its event loop and CPU: see RoomcastEventLoopDelay in deploy/RUNBOOK.md',
      );
    }
    case 'silent':
      return needsToken
        ? ok(about, 'WebSocket opens, and waits for a token', 'give one with --token to look further')
        : problem(
            about,
            'WebSocket opens, but no hello comes',
            'give a token with --token if nodes ask for one',
          );
    case 'closed':
      return closed(about, socket);
    case 'refused':
      return refused(about, socket);
    case 'failed':
      return problem(
        about,
        `WebSocket does not work: ${socket.reason}`,
        'let the proxy in between pass Upgrade and Connection on',
      );
  }
}

function closed(about: string, { code, reason }: Extract<SocketFacts, { outcome: 'closed' }>): Finding {
  const advice =
    code === CLOSE.unauthorized.code
      ? 'give a valid token with --token'
      : `code ${code} is explained in src/protocol/PROTOCOL.md`;
  return problem(about, `WebSocket was closed with ${code} ${reason}`, advice);
}

const REFUSALS: Readonly<Record<number, string>> = {
  401: 'give a valid token with --token',
  403: 'see allowedOrigins',
  404: 'check websocket.path',
  503: 'the node is full, paces newcomers or shuts down: see websocket.maxConnections and acceptRate.perSecond',
};

function refused(about: string, { status, says }: Extract<SocketFacts, { outcome: 'refused' }>): Finding {
  const advice = REFUSALS[status] ?? 'let the proxy in between pass Upgrade and Connection on';
  const text = says.trim() === '' ? '' : `: ${says.trim().replace(/\s+/g, ' ')}`;
  return problem(about, `the WebSocket upgrade is answered with ${status}${text}`, advice);
}
