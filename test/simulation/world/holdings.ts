/**
 * What an object holds: how many entries all lists, maps and sets have that can be reached from it, private fields included, by the
 * class and the field that hold them. The inspector of Node shows private fields; nothing in the code under test helps with this.
 * What only a closure holds is not seen.
 */
import { Session } from 'node:inspector';

/** `Feeds.#feeds` to the number of entries, of all instances together; `Feed.held bytes` to the bytes of buffers. */
export type Holdings = Map<string, number>;

const GROUP = 'holdings';

/** The inspector has no way to a value but by a name. */
const meeting = globalThis as unknown as { __looked?: unknown; __taken?: readonly unknown[] | undefined };

interface PrivateField {
  readonly name: string;
  readonly value?: { readonly type: string; readonly objectId?: string };
}

/** `isBorder`: by the name of its class, an object that is not looked into. */
export function holdingsOf(root: object, isBorder: (className: string) => boolean): Holdings {
  const session = new Session();
  session.connect();
  try {
    return new Walk(session, isBorder).from(root);
  } finally {
    session.disconnect();
    meeting.__looked = undefined;
    meeting.__taken = undefined;
  }
}

class Walk {
  readonly #session: Session;
  readonly #isBorder: (className: string) => boolean;
  readonly #seen = new Set<object>();
  readonly #holdings: Holdings = new Map();
  #waiting: (readonly [place: string, value: object])[] = [];

  constructor(session: Session, isBorder: (className: string) => boolean) {
    this.#session = session;
    this.#isBorder = isBorder;
  }

  from(root: object): Holdings {
    this.#offer(classOf(root), root);
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const [place, value] of waiting) this.#look(place, value);
    }
    return this.#holdings;
  }

  #offer(place: string, value: unknown): void {
    if (typeof value !== 'object' || value === null || this.#seen.has(value)) return;
    this.#seen.add(value);
    this.#waiting.push([place, value]);
  }

  #look(place: string, value: object): void {
    if (ArrayBuffer.isView(value)) return this.#count(`${place} bytes`, value.byteLength);
    if (value instanceof Map) {
      this.#count(place, value.size);
      for (const [key, one] of value) {
        this.#offer(place, key);
        this.#offer(place, one);
      }
    } else if (Array.isArray(value) || value instanceof Set) {
      this.#count(place, value instanceof Set ? value.size : value.length);
      for (const one of value) this.#offer(place, one);
    } else this.#lookInside(place, value);
  }

  #lookInside(place: string, value: object): void {
    const name = classOf(value);
    if (this.#isBorder(name)) return;
    const isPlain = name === 'Object';
    for (const [field, one] of Object.entries(value)) this.#offer(`${isPlain ? place : name}.${field}`, one);
    if (isPlain) return;
    this.#count(`${name} itself`, 1);
    for (const [field, one] of this.#privateFields(value)) this.#offer(`${name}.${field}`, one);
  }

  #privateFields(value: object): (readonly [name: string, value: unknown])[] {
    meeting.__looked = value;
    const { result } = this.#ask<{ result: { objectId: string } }>('Runtime.evaluate', {
      expression: 'globalThis.__looked',
      objectGroup: GROUP,
    });
    const { objectId } = result;
    const { privateProperties = [] } = this.#ask<{ privateProperties?: PrivateField[] }>(
      'Runtime.getProperties',
      { objectId, ownProperties: true },
    );
    const held = privateProperties.filter(({ value }) => value?.type === 'object' && value.objectId);
    if (held.length > 0) {
      this.#ask('Runtime.callFunctionOn', {
        objectId,
        functionDeclaration: 'function (...values) { globalThis.__taken = values; }',
        arguments: held.map((field) => ({ objectId: field.value!.objectId })),
      });
    }
    const taken = meeting.__taken ?? [];
    this.#ask('Runtime.releaseObjectGroup', { objectGroup: GROUP });
    return held.map(({ name }, i) => [name, taken[i]]);
  }

  /** Within one thread it is answered before `post` returns. */
  #ask<T>(method: string, params: object): T {
    let answer: T | undefined;
    this.#session.post(method, params, (error: Error | null, result?: object) => {
      if (error !== null) throw error;
      answer = result as T;
    });
    return answer as T;
  }

  #count(place: string, by: number): void {
    this.#holdings.set(place, (this.#holdings.get(place) ?? 0) + by);
  }
}

/** A bundle gives numbers to names that it has twice. */
function classOf(value: object): string {
  return (value.constructor?.name ?? 'Object').replace(/\$\d+$/, '');
}
