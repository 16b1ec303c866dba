/** The messages that components show: bounded, and replaced whole. */
import type { Message } from '../room-events.ts';

export interface ListedMessage<T = unknown> extends Message<T> {
  /** Unique in its list, and stays with the message: for the `key` of a list item. */
  readonly key: number;
}

export type MessageList = readonly ListedMessage[];

export const NO_MESSAGES: MessageList = Object.freeze([]);

/** The newest `limit` of both. */
export function appended(list: MessageList, added: MessageList, limit: number): MessageList {
  return newest([...list, ...added], limit);
}

/** What of `page` is older than all of `list`, and then the list. A list without offsets (0) stays as it is. */
export function withOlder(list: MessageList, page: MessageList, limit: number): MessageList {
  const first = list[0]?.offset ?? Number.POSITIVE_INFINITY;
  const older = page.filter(({ offset }) => offset < first);
  return older.length === 0 ? list : newest([...older, ...list], limit);
}

export function newest<M>(list: readonly M[], limit: number): readonly M[] {
  return list.length > limit ? list.slice(list.length - limit) : list;
}
