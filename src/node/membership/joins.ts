import type { Connection } from '../../connection/connection.ts';
import type { PublishCommand } from '../../protocol/frames.ts';
import type { Join } from './join.ts';

/** The joins that were not answered yet. Usually there are none: then a publish only checks a number. */
export class Joins {
  readonly #byConnection = new Map<Connection, Join[]>();

  /** Repeating it is harmless. */
  add(join: Join): void {
    const known = this.#byConnection.get(join.connection);
    if (known?.includes(join)) return;
    if (known) known.push(join);
    else this.#byConnection.set(join.connection, [join]);
  }

  /** Harmless for a join that is not here. */
  remove(join: Join): void {
    const known = this.#byConnection.get(join.connection);
    const rest = known?.filter((other) => other !== join) ?? [];
    if (rest.length === 0) this.#byConnection.delete(join.connection);
    else this.#byConnection.set(join.connection, rest);
  }

  /** The connection's join of this room. */
  find(connection: Connection, room: string): Join | null {
    if (this.#byConnection.size === 0) return null;
    return this.#byConnection.get(connection)?.find(({ feed }) => feed.room.name === room) ?? null;
  }

  /** Makes a message wait for the connection's join of its room. False if no join requires it. */
  hold(connection: Connection, command: PublishCommand): boolean {
    if (this.#byConnection.size === 0) return false;
    const join = this.find(connection, command.room);
    if (join?.state !== 'waiting') return false;
    join.hold(command);
    return true;
  }
}
