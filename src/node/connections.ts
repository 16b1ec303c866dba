import type { Identity } from '../auth/identity.ts';
import type { AuthRefusal } from '../auth/refusal.ts';
import type { Allowance } from '../connection/allowance.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/context.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { PendingAuth } from '../connection/pending-auth.ts';
import type { Socket } from '../connection/socket.ts';
import { serverCodec } from '../protocol/codec.ts';
import type { Encoding } from '../protocol/subprotocol.ts';
import type { BrokerNode } from './broker-node.ts';

export interface ConnectionsParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly heartbeats: Heartbeats<Connection>;
  /** Connections without a token, when tokens are required. */
  readonly pendingAuth: PendingAuth;
}

/** What happens to the sockets of a node, whatever kind of socket it is: each gets a connection, which hears of it. */
export class Connections {
  readonly #parts: ConnectionsParts;
  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
  }

  /**
   * A socket opened. `refusal`: why its token was refused; it is told, and closed. `made` is called with the
   * connection before anything is sent. `allowance`: what it may send; default: no address pays for it.
   */
  open(
    socket: Socket,
    encoding: Encoding,
    identity: Identity | null,
    refusal: AuthRefusal | null,
    made: (connection: Connection) => void,
    allowance?: Allowance,
  ): void {
    const { node, context, heartbeats, pendingAuth } = this.#parts;
    const number = node.nextNumber();
    const codec = serverCodec(encoding);
    const connection = new Connection(number, socket, codec, identity, context, allowance);
    made(connection);
    context.metrics.connections.opened[encoding]++;
    heartbeats.add(connection);
    node.connected(connection);
    if (refusal !== null) turnAway(connection, refusal);
    else if (connection.awaitsAuth) pendingAuth.add(connection);
    else connection.welcome();
  }

  /** Its socket is gone. `code`: the close code, 1006 if there was no close frame. */
  closed(connection: Connection, code: number): void {
    const { node, context, heartbeats, pendingAuth } = this.#parts;
    context.metrics.connections.countClose(code);
    heartbeats.remove(connection);
    pendingAuth.remove(connection);
    connection.closed();
    node.disconnected(connection);
  }

  /** A WebSocket message arrived. The caller may reuse the bytes once this returns. */
  message(connection: Connection, message: Uint8Array, isBinary: boolean): void {
    const { context, heartbeats } = this.#parts;
    heartbeats.heard(connection);
    if (message.length > context.maxPayloadBytes) connection.tooLarge();
    else connection.receive(message, isBinary);
  }

  /** The peer sent a ping, which its socket answers. */
  pinged(connection: Connection): void {
    this.#parts.heartbeats.heard(connection);
    connection.controlFrame();
  }

  ponged(connection: Connection): void {
    this.#parts.heartbeats.ponged(connection);
    connection.controlFrame();
  }
}

function turnAway(connection: Connection, { code, message, close, details }: AuthRefusal): void {
  connection.fail(0, code, message, details);
  connection.close(close);
}
