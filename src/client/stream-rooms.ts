/** The rooms of an event stream, and where each stands: a stream that takes the place of another goes on from there. */
import type { JoinOptions } from '../protocol/frames.ts';

export interface StreamRoom {
  /** Where the first join begins: later streams go on from `position`. */
  readonly start: Pick<JoinOptions, 'since' | 'last' | 'resume'>;
  /** What every stream asks for, and brings. */
  options: Pick<JoinOptions, 'members' | 'data'>;
  /** Of the join that is not answered yet. */
  joinId: number | null;
  /** `<epoch>,<offset>`, as events have it. */
  position: string | null;
}

export class StreamRooms {
  readonly #rooms = new Map<string, StreamRoom>();
  /** One of several new rooms was refused, and the node does not say which: they are added one at a time. */
  #oneByOne = false;
  /** Changes with the rooms. */
  version = 0;

  join(id: number, room: string, { members, data, ...start }: JoinOptions): void {
    const options = { ...(members && { members }), ...(data !== undefined && { data }) };
    this.#rooms.set(room, { start, options, joinId: id, position: null });
    this.version++;
  }

  /** What the member says of itself from now on. Returns false where the room was not joined. */
  setData(room: string, data: unknown): boolean {
    const known = this.#rooms.get(room);
    if (known !== undefined) known.options = { ...known.options, data };
    return known !== undefined;
  }

  leave(room: string): void {
    if (this.#rooms.delete(room)) this.version++;
  }

  moved(room: string, position: string): void {
    const known = this.#rooms.get(room);
    if (known !== undefined) known.position = position;
  }

  /** Returns the id of the join that is answered with it; null where it was answered before. */
  joined(room: string): number | null {
    const known = this.#rooms.get(room);
    const id = known?.joinId ?? null;
    if (known !== undefined) known.joinId = null;
    return id;
  }

  get isAnyNew(): boolean {
    return this.#new.length > 0;
  }

  /** Whether rooms wait for their turn. */
  get isAnyLeftOut(): boolean {
    return this.#oneByOne && this.isAnyNew;
  }

  /** The stream was refused. Returns the id of the join that is to blame; null where it is not known yet. */
  refuse(): number | null {
    const [first] = this.#new;
    if (first === undefined) return null;
    if (this.#new.length > 1 && !this.#oneByOne) {
      this.#oneByOne = true;
      return null;
    }
    const [name, { joinId }] = first;
    this.#rooms.delete(name);
    return joinId;
  }

  /** What to ask for, as `POST /v1/events` takes it. */
  asked(): object[] {
    const [first] = this.#new;
    return [...this.#rooms]
      .filter((entry) => entry[1].joinId === null || !this.#oneByOne || entry[0] === first?.[0])
      .map(([room, { start, options, position }]) => ({
        room,
        ...options,
        ...(position === null ? start : { since: position }),
      }));
  }

  get #new(): [string, StreamRoom][] {
    return [...this.#rooms].filter(([, { joinId }]) => joinId !== null);
  }
}
