import type { Fanout } from './socket.ts';

/** What a topic needs of its members. */
export interface TopicMember {
  /** A message of one of its topics. Called during `publish`. */
  fromTopic(message: Uint8Array | string): void;
}

/** Topics as lists, for sockets that uWebSockets.js has no native topics for. */
export class TopicList<M extends TopicMember> implements Fanout {
  readonly #members = new Map<string, Set<M>>();
  readonly #topics = new Map<M, Set<string>>();

  /** Repeating it is harmless. */
  subscribe(member: M, topic: string): void {
    setOf(this.#members, topic).add(member);
    setOf(this.#topics, member).add(topic);
  }

  unsubscribe(member: M, topic: string): void {
    take(this.#members, topic, member);
    take(this.#topics, member, topic);
  }

  /** The member is gone: it leaves all of its topics. */
  forget(member: M): void {
    for (const topic of this.#topics.get(member) ?? []) take(this.#members, topic, member);
    this.#topics.delete(member);
  }

  publish(topic: string, message: Uint8Array | string): void {
    for (const member of this.#members.get(topic) ?? []) member.fromTopic(message);
  }

  publishToOthers(sender: M, topic: string, message: Uint8Array | string): void {
    for (const member of this.#members.get(topic) ?? []) if (member !== sender) member.fromTopic(message);
  }
}

function setOf<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  let set = map.get(key);
  if (set === undefined) {
    set = new Set();
    map.set(key, set);
  }
  return set;
}

/** Removes a value, and its set with the last one. */
function take<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) && set.size === 0) map.delete(key);
}
