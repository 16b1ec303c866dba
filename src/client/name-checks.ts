/**
 * Refuses misspelt options and events: in plain JavaScript nobody else finds them. The smallest file for pages goes without
 * (`.ci/build-client.mjs`).
 */
import type { ClientOptions } from './options.ts';
import type { QueueLimits } from './publish-queue.ts';
import type { RoomEvents, RoomOptions } from './room-events.ts';
import type { HistorySettings, MembersSettings, PublishSettings, SignalSettings } from './room-services.ts';

/** All names of a type: the compiler finds one that is missing here. */
type Names<T> = Readonly<Record<keyof T, 1>>;

const CLIENT: Names<ClientOptions> = {
  token: 1,
  getToken: 1,
  queue: 1,
  reconnect: 1,
  connectTimeoutMs: 1,
  probeTimeoutMs: 1,
  onError: 1,
  storage: 1,
  WebSocket: 1,
  scheduler: 1,
  fallback: 1,
  debug: 1,
  inspectFrames: 1,
  environment: 1,
};
const QUEUE: Names<QueueLimits> = { messages: 1, bytes: 1 };
const RECONNECT: Names<NonNullable<ClientOptions['reconnect']>> = { baseMs: 1, capMs: 1 };
const ROOM: Names<RoomOptions> = { last: 1, since: 1, resume: 1, members: 1, presence: 1 };
const EVENTS: Names<RoomEvents> = {
  message: 1,
  signal: 1,
  joined: 1,
  gap: 1,
  reset: 1,
  member: 1,
  presence: 1,
  members: 1,
  refused: 1,
  removed: 1,
  state: 1,
};
/** Of every call that takes settings. */
const SETTINGS: Names<PublishSettings & SignalSettings & HistorySettings & MembersSettings> & { buffer: 1 } =
  {
    key: 1,
    echo: 1,
    conflateKey: 1,
    abort: 1,
    since: 1,
    limit: 1,
    after: 1,
    buffer: 1,
  };

/** All of these throw a TypeError for a name that does not exist, with those that do, the likeliest first. */
export function checkOptions(options: ClientOptions): void {
  checkAll(options, CLIENT);
  checkAll(options.queue, QUEUE);
  checkAll(options.reconnect, RECONNECT);
}

export function checkRoomOptions(options: RoomOptions): void {
  checkAll(options, ROOM);
}

export function checkSettings(settings: object): void {
  checkAll(settings, SETTINGS);
}

export function checkEvent(name: string): void {
  check('event', name, EVENTS);
}

function checkAll(options: object | undefined, names: object): void {
  for (const name of Object.keys(options ?? {})) check('option', name, names);
}

function check(what: string, name: string, names: object): void {
  if (Object.hasOwn(names, name)) return;
  // Letters of it that the name has, less those that one of both has more.
  const likeness = (known: string) =>
    [...known].filter((letter) => name.includes(letter)).length - Math.abs(known.length - name.length);
  const known = Object.keys(names).sort((a, b) => likeness(b) - likeness(a));
  throw new TypeError(`unknown ${what} "${name}": did you mean ${known.join(', ')}?`);
}
