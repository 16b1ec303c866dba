import { CLOSE } from '../../protocol/codes.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { memberOf, type NodeFacts } from './probe-node.ts';
import type { SocketFacts } from './probe-socket.ts';
import { duration } from './units.ts';

const SLOW_MS = 500;

/** Whether this node would serve a client, and if not, why. */
export function checkNode(facts: NodeFacts, { needsToken }: { needsToken: boolean }): Finding[] {
  const about = `node ${facts.url.host}`;
  const { health } = facts;
  if ('failure' in health) {
    return [
      problem(
        about,
        `cannot reach ${facts.url.href}: ${health.failure}`,
        unreachableAdvice(health.failure, facts.url),
      ),
    ];
  }
  if (memberOf(health, 'status') !== 'alive') {
    return [
      problem(
        about,
        `/healthz answers ${health.status}, unlike a node`,
        'check that the URL is that of a node',
      ),
    ];
  }
  const socket = facts.socket === null ? [] : [checkSocket(about, facts.socket, needsToken)];
  return [...readiness(about, facts), ...socket, ...history(about, facts)];
}

function unreachableAdvice(failure: string, { protocol }: URL): string {
  if (/WRONG_VERSION|EPROTO/.test(failure)) return 'it does not use TLS there: name it with http://';
  if (protocol === 'http:' && /UND_ERR_SOCKET|ECONNRESET/.test(failure)) {
    return 'if this port uses TLS, name it with https://; else check its log';
  }
  return /CERT|SIGNATURE|ALTNAME|issuer|certificate/.test(failure)
    ? 'a certificate of your own authority: set NODE_EXTRA_CA_CERTS to its PEM file; else give the node a certificate for this name'
    : 'check that it runs, listens on this address, and that no firewall blocks the port';
}

function history(about: string, { shortHistories }: NodeFacts): Finding[] {
  if (shortHistories === null || shortHistories === 0) return [];
  const rooms = shortHistories === 1 ? '1 room keeps' : `${shortHistories} rooms keep`;
  return [
    warning(
      about,
      `${rooms} less than 30 s of messages: a client that reconnects later gets a gap`,
      'raise history.messages and history.bytes, in general or in the rule of the busy rooms (see roomcast_rooms_short_history)',
    ),
  ];
}

function readiness(about: string, { ready }: NodeFacts): Finding[] {
  if ('failure' in ready) {
    return [problem(about, `/readyz does not answer: ${ready.failure}`, 'see the log of the node')];
  }
  if (ready.status === 200) return [ok(about, 'alive and ready'), ...degraded(about, ready)];
  const reason = memberOf(ready, 'reason');
  return [
    problem(
      about,
      `not ready: ${typeof reason === 'string' ? reason : `/readyz answers ${ready.status}`}`,
      'it gets no traffic until this is fixed; see RoomcastNotReady in deploy/RUNBOOK.md',
    ),
  ];
}

/** It serves most rooms, and not those of the shards that it names. */
function degraded(about: string, ready: NodeFacts['ready']): Finding[] {
  const shards = memberOf(ready, 'degraded');
  if (!Array.isArray(shards) || shards.length === 0) return [];
  const says = `degraded: the rooms of some shards are unavailable: ${shards.join(', ')}`;
  return [warning(about, says, 'see RoomcastShardDown in deploy/RUNBOOK.md')];
}

function checkSocket(about: string, socket: SocketFacts, needsToken: boolean): Finding {
  switch (socket.outcome) {
    case 'answered': {
      const says = `WebSocket, hello and ping work: node ${socket.node}, ${duration(Math.max(1, socket.roundTripMs))}`;
      if (socket.roundTripMs < SLOW_MS) return ok(about, says);
      return warning(
        about,
        says,
        'check its event loop and CPU: see RoomcastEventLoopDelay in deploy/RUNBOOK.md',
      );
    }
    case 'silent':
      return needsToken
        ? ok(about, 'the WebSocket opens and waits for a token', 'give one with --token to check further')
        : problem(
            about,
            'the WebSocket opens, but sends no hello',
            'give a token with --token if nodes require one',
          );
    case 'closed':
      return closed(about, socket);
    case 'refused':
      return refused(about, socket);
    case 'failed':
      return problem(
        about,
        `the WebSocket does not work: ${socket.reason}`,
        'make the proxy in between pass on Upgrade and Connection',
      );
  }
}

function closed(about: string, { code, reason }: Extract<SocketFacts, { outcome: 'closed' }>): Finding {
  const advice =
    code === CLOSE.unauthorized.code
      ? 'give a valid token with --token'
      : `see code ${code} in src/protocol/PROTOCOL.md`;
  return problem(about, `the WebSocket was closed with ${code} ${reason}`, advice);
}

const REFUSALS: Readonly<Record<number, string>> = {
  401: 'give a valid token with --token',
  403: 'see allowedOrigins',
  404: 'check websocket.path',
  503: 'the node is full, limits new connections or is shutting down: see websocket.maxConnections and acceptRate.perSecond',
};

function refused(about: string, { status, says }: Extract<SocketFacts, { outcome: 'refused' }>): Finding {
  const advice = REFUSALS[status] ?? 'make the proxy in between pass on Upgrade and Connection';
  const text = says.trim() === '' ? '' : `: ${says.trim().replace(/\s+/g, ' ')}`;
  return problem(about, `the WebSocket upgrade was answered with ${status}${text}`, advice);
}
