import { Allowance } from '../connection/allowance.ts';
import type { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/context.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import type { Connections } from '../node/connections.ts';
import { OVERSIZE_BYTES } from './capacity.ts';
import type { Descriptors } from './descriptors.ts';
import { type UpgradeOptions, upgradeHandler } from './upgrade.ts';
import { uws, type WebSocketBehavior } from './uws.ts';
import type { SocketData } from './ws-socket.ts';

export interface WsEndpointOptions extends Omit<UpgradeOptions, 'mustAuthenticate' | 'metrics' | 'log'> {
  /** Bytes that may wait in this process for one socket. */
  readonly backpressureBytes: number;
  readonly descriptors: Descriptors;
}

export interface WsEndpointParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly connections: Connections;
}

/** The `/ws` endpoint: opens a connection for each socket and passes on its events. */
export function wsBehavior(
  options: WsEndpointOptions,
  parts: WsEndpointParts,
): WebSocketBehavior<SocketData> {
  const { context } = parts;
  const { mustAuthenticate, metrics, log, maxPayloadBytes } = context;
  return {
    maxPayloadLength: maxPayloadBytes + OVERSIZE_BYTES,
    maxBackpressure: options.backpressureBytes,
    closeOnBackpressureLimit: false,
    compression: uws.DISABLED,
    // Heartbeats are ours: one timer, spread over slots, with round trips.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    upgrade: upgradeHandler({ ...options, mustAuthenticate, metrics, log }),
    ...lifecycle(options, parts),
    ...traffic(parts),
  };
}

type Handlers = WebSocketBehavior<SocketData>;

/** A socket comes and goes. */
function lifecycle(
  { admission, descriptors, sockets }: WsEndpointOptions,
  { connections }: WsEndpointParts,
): Pick<Handlers, 'open' | 'close'> {
  return {
    open(ws) {
      const { socket } = ws.getUserData();
      const { isBinary, identity, refusal } = socket;
      socket.opened(ws);
      const made = (connection: Connection) => {
        socket.connection = connection;
      };
      const allowance = new Allowance(socket.payer);
      connections.open(socket, isBinary ? 'msgpack' : 'json', identity, refusal, made, allowance);
    },

    close(ws, code) {
      const { socket } = ws.getUserData();
      socket.closed();
      const { connection } = socket;
      if (connection?.isOpen === false) descriptors.ended();
      else descriptors.closed();
      sockets.closed();
      sockets.left(socket.peer);
      if (connection) connections.closed(connection, code);
      admission.left(socket.place);
    },
  };
}

/** What happens to an open socket. */
function traffic({
  node,
  connections,
}: WsEndpointParts): Pick<Handlers, 'message' | 'dropped' | 'drain' | 'ping' | 'pong'> {
  return {
    message(ws, message, isBinary) {
      const { connection } = ws.getUserData().socket;
      if (connection) connections.message(connection, new Uint8Array(message), isBinary);
    },

    dropped(ws, message) {
      const { connection } = ws.getUserData().socket;
      if (connection) node.dropped(connection, new Uint8Array(message));
    },

    drain(ws) {
      const { connection } = ws.getUserData().socket;
      if (connection) node.drained(connection);
    },

    // uWebSockets.js has already answered it.
    ping(ws) {
      const { connection } = ws.getUserData().socket;
      if (connection) connections.pinged(connection);
    },

    pong(ws) {
      const { connection } = ws.getUserData().socket;
      if (connection) connections.ponged(connection);
    },
  };
}
