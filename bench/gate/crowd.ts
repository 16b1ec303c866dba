import { LoadConnection } from '../../src/load/connection.ts';
import { createPayload, stampPayload } from '../../src/load/payload.ts';
import { createDialect } from '../../src/load/roomcast-dialect.ts';
import { Tally, WATCH } from '../../src/load/tally.ts';

const PAYLOAD_BYTES = 128;
const PATIENCE_MS = 20_000;

export interface CrowdPlan {
  readonly port: number;
  readonly rooms: number;
  readonly membersPerRoom: number;
}

/** Members of some rooms and one publisher, in this process: their work does not depend on time. */
export class Crowd {
  readonly tally = new Tally();
  readonly #plan: CrowdPlan;
  readonly #dialect = createDialect({ payloadBytes: PAYLOAD_BYTES });
  readonly #connections: LoadConnection[] = [];
  #publisher!: LoadConnection;
  #published = 0;
  #chunkRead: () => void = ignore;

  private constructor(plan: CrowdPlan) {
    this.#plan = plan;
  }

  static async join(plan: CrowdPlan): Promise<Crowd> {
    const crowd = new Crowd(plan);
    crowd.#publisher = await crowd.#open(null, 0);
    for (let room = 0; room < plan.rooms; room++) {
      for (let member = 0; member < plan.membersPerRoom; member++) await crowd.#open(roomName(room), room);
    }
    return crowd;
  }

  async #open(name: string | null, room: number): Promise<LoadConnection> {
    const connection = new LoadConnection(
      { roomName: name, room, watches: WATCH.none },
      this.#dialect,
      this.tally,
    );
    this.#connections.push(connection);
    await connection.open({ host: '127.0.0.1', port: this.#plan.port }, () => this.#chunkRead());
    return connection;
  }

  /**
   * Publishes this many in one WebSocket message, the rooms in turn, and resolves when all were delivered and
   * answered.
   */
  async publish(count: number): Promise<void> {
    const bodies: Uint8Array[] = [];
    let opcode = 0;
    for (let i = 0; i < count; i++) {
      const room = i % this.#plan.rooms;
      const template = this.#dialect.publish(roomName(room), createPayload(PAYLOAD_BYTES, room, 0));
      stampPayload(template.body as Uint8Array, template.payloadAt, ++this.#published, 0);
      bodies.push(template.body);
      opcode = template.opcode;
    }
    this.#publisher.send({ opcode, body: Buffer.concat(bodies) });
    await this.#until(() => this.#hasAll());
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  #hasAll(): boolean {
    const { delivered, acknowledged } = this.tally;
    return delivered >= this.#published * this.#plan.membersPerRoom && acknowledged >= this.#published;
  }

  #until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new Error(
              `some published messages did not arrive: ${JSON.stringify({ ...this.tally.data(), latency: null })}`,
            ),
          ),
        PATIENCE_MS,
      );
      this.#chunkRead = () => {
        if (!isDone()) return;
        clearTimeout(timer);
        this.#chunkRead = ignore;
        resolve();
      };
    });
  }
}

function roomName(room: number): string {
  return `gate:${room}`;
}

function ignore(): void {
  // Nothing waits.
}
