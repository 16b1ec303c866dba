'use client';

/**
 * `roomcast-client/react`: rooms as hooks, for React 18 and 19. docs/react.md is the guide.
 *
 * ```tsx
 * const messages = useMessages<{ text: string }>('chat:lobby', { last: 50 });
 * const publish = usePublish<{ text: string }>('chat:lobby');
 * ```
 */
export {
  type MembersSettings,
  type MessagesSettings,
  type Publish,
  type RoomEventListener,
  type SendSignal,
  useMembers,
  useMessages,
  usePublish,
  useRoom,
  useRoomEvent,
  useSignal,
} from './hooks.ts';
export type { ListedMessage } from './message-list.ts';
export {
  type Client,
  RoomcastProvider,
  type RoomcastProviderProps,
  useClient,
  useStatus,
} from './provider.ts';
export type { RoomView } from './shared-room.ts';
