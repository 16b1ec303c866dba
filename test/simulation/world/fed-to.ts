/** How far a node has sent a client the messages of each room, over one connection: as the node must see it. */
import type { InspectedFrame } from '../../../src/client/inspector.ts';
import type { JoinOptions, JoinResult } from '../../../src/protocol/frames.ts';

export class FedTo {
  readonly #joins = new Map<number, { readonly room: string; readonly options: JoinOptions }>();
  readonly #fedTo = new Map<string, number>();

  connecting(): void {
    this.#joins.clear();
    this.#fedTo.clear();
  }

  frame({ direction, frame }: InspectedFrame): void {
    const [type, id] = frame as readonly [string, number];
    if (direction === 'sent' && type === 'join')
      this.#joins.set(id, { room: String(frame[2]), options: (frame[3] ?? {}) as JoinOptions });
    else if (type === 'ok') this.#answered(id, frame[2] as JoinResult);
    else if (type === 'message') this.#fed(String(frame[1]), frame[2] as number);
    else if (type === 'gap' || type === 'reset') this.#fed(String(frame[1]), frame[3] as number);
  }

  /** A member that joins again starts again from the position that it gives. */
  #answered(id: number, { offset, from, acked }: JoinResult): void {
    const join = this.#joins.get(id);
    if (join === undefined) return;
    this.#joins.delete(id);
    const { since, resume } = join.options;
    const asked = resume ? acked : since?.[1];
    this.#fed(join.room, from ?? asked ?? offset);
  }

  #fed(room: string, offset: number): void {
    this.#fedTo.set(room, offset);
  }

  /** Whether the node sends a message that comes next: it may, though the client has had it before its last join. */
  isNext(room: string, offset: number): boolean {
    const fedTo = this.#fedTo.get(room);
    return fedTo !== undefined && offset > fedTo;
  }
}
