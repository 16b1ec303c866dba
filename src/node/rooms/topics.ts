/** Which native topics a member of a room is on. */
import type { HubConnection } from '../../hub/hub.ts';
import type { Room } from '../../hub/room.ts';
import type { ReaderEncoding } from '../../protocol/subprotocol.ts';
import type { Feed } from './feed.ts';

/** A connection, as far as topics go. */
export interface TopicReader extends HubConnection {
  readonly socket: {
    subscribe(topic: string): void;
    unsubscribe(topic: string): void;
  };
}

/** From here on the room's messages reach it. In a room with member events `hearMembers` must follow. */
export function enterTopics(reader: TopicReader, { room }: Feed): void {
  reader.socket.subscribe(room.topic(reader.encoding));
}

/** For a reader that is on its room's topic. Repeating it is harmless. */
export function hearMembers(reader: TopicReader, feed: Feed, hears: boolean): void {
  const topic = feed.room.memberTopic(reader.encoding);
  if (hears) {
    reader.socket.subscribe(topic);
    feed.unaware?.delete(reader);
  } else {
    reader.socket.unsubscribe(topic);
    feed.unaware ??= new Set();
    feed.unaware.add(reader);
  }
}

/** Harmless for one that is on none of them. `feed`: undefined where the room has none any more. */
export function leaveTopics(reader: TopicReader, room: Room, feed: Feed | undefined): void {
  reader.socket.unsubscribe(room.topic(reader.encoding));
  if (feed?.hasMemberEvents === false) return;
  reader.socket.unsubscribe(room.memberTopic(reader.encoding));
  feed?.unaware?.delete(reader);
}

/** How many members of the room are on its topic of an encoding. */
export function liveMembers(
  { room, binaryBehind, textBehind, eventsBehind }: Feed,
  encoding: ReaderEncoding,
): number {
  if (encoding === 'msgpack') return room.binaryMembers - binaryBehind;
  if (encoding === 'json') return room.textMembers - textBehind;
  return room.eventMembers - eventsBehind;
}

/** The same for the topic of what members are told of each other. */
export function hearingMembers(feed: Feed, encoding: ReaderEncoding): number {
  let hearing = liveMembers(feed, encoding);
  for (const reader of feed.unaware ?? []) if (reader.encoding === encoding) hearing--;
  return hearing;
}
