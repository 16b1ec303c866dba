/**
 * A room in a component. All components that name a room share one join, one list of messages and one list of members. `null` in
 * place of a name uses no room.
 */
import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { PublishResult } from '../../protocol/frames.ts';
import { type MemberList, NOBODY } from '../member-list.ts';
import type { RoomEvents, RoomOptions } from '../room-events.ts';
import type { PublishSettings, SignalOutcome } from '../room-services.ts';
import { type ListedMessage, NO_MESSAGES, newest } from './message-list.ts';
import { useClient } from './provider.ts';
import { BEFORE, type RoomListener, type RoomView, type SharedRoom } from './shared-room.ts';
import { sharedRoomsOf } from './shared-rooms.ts';
import { fingerprint, type Wants } from './wants.ts';

export interface MessagesSettings {
  /** Begin with the newest so many kept messages. Default 0: with what comes from now on. */
  readonly last?: number;
  /** Messages that the list holds at most, the newest ones. Default 200, and never less than `last`. */
  readonly keep?: number;
}

export interface MembersSettings<P = unknown> {
  /** What others see beside this member. */
  readonly presence?: P;
}

/** Publishes in a room: see `Room.publish`. */
export type Publish<T = unknown> = (data: T, settings?: PublishSettings) => Promise<PublishResult>;

/** Sends what is not kept, such as typing: see `Room.signal`. */
export type SendSignal<S = unknown> = (data: S, settings?: { readonly echo?: boolean }) => SignalOutcome;

const DEFAULT_KEEP = 200;

/** Joins the room while the component is mounted. For its state, errors and the `Room` itself. */
export function useRoom<T = unknown, S = unknown, P = unknown>(
  name: string | null,
  options: RoomOptions<P> = {},
): RoomView<T, S, P> {
  const view = useShared(name, { ...options, watches: true }, (shared) => shared.view, BEFORE);
  return view as unknown as RoomView<T, S, P>;
}

/** The messages of the room, oldest first. The list is replaced whole when it changes, at most once for all that came together. */
export function useMessages<T = unknown>(
  name: string | null,
  { last = 0, keep = DEFAULT_KEEP }: MessagesSettings = {},
): readonly ListedMessage<T>[] {
  const limit = Math.max(last, keep);
  const all = useShared(name, { last, keep: limit }, (shared) => shared.messages, NO_MESSAGES);
  // Other components may hold more.
  return useMemo(() => newest(all, limit), [all, limit]) as readonly ListedMessage<T>[];
}

/** Who is in the room, with their presence data; optionally with that of this member. */
export function useMembers<P = unknown>(
  name: string | null,
  { presence }: MembersSettings<P> = {},
): MemberList<P> {
  const wants = { members: true, ...(presence !== undefined && { presence }) };
  return useShared(name, wants, (shared) => shared.members, NOBODY) as MemberList<P>;
}

/** A method, so that the event of the listener may be declared more closely: `({ data }: Signal<Typing>) => …`. */
export interface RoomEventListener<K extends keyof RoomEvents> {
  on(event: RoomEvents[K]): void;
}

/** Calls `listener` for each event of the room: signals, members who come and go, gaps. Always the one of the last render. */
export function useRoomEvent<K extends keyof RoomEvents>(
  name: string | null,
  event: K,
  listener: RoomEventListener<K>['on'],
): void {
  const rooms = sharedRoomsOf(useClient());
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const call = (happened: RoomEvents[K]) => latest.current(happened);
    const wants = { watches: event === 'refused' || event === 'removed' };
    const listens = [event, call] as unknown as RoomListener;
    return rooms.use(name, { wants, changed: () => undefined, listens });
  }, [rooms, name, event]);
}

/** A function that publishes in the room, and stays the same. The room need not be joined. */
export function usePublish<T = unknown>(name: string): Publish<T> {
  const client = useClient();
  return useCallback((data, settings) => client.publish(name, data, settings), [client, name]);
}

/** A function that sends signals to the room, and stays the same. */
export function useSignal<S = unknown>(name: string): SendSignal<S> {
  const client = useClient();
  return useCallback((data, { echo = false } = {}) => client.signal(name, data, echo), [client, name]);
}

function useShared<V>(name: string | null, wants: Wants, read: (shared: SharedRoom) => V, before: V): V {
  const rooms = sharedRoomsOf(useClient());
  const latest = useRef(wants);
  useEffect(() => {
    latest.current = wants;
  });
  const print = fingerprint(wants);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is wanted has changed when its print has
  const subscribe = useCallback(
    (changed: () => void) => rooms.use(name, { wants: latest.current, changed }),
    [rooms, name, print],
  );
  const shared = () => rooms.find(name);
  const now = () => {
    const found = shared();
    return found === undefined ? before : read(found);
  };
  return useSyncExternalStore(subscribe, now, () => before);
}
