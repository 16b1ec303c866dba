/** What the attacked node is configured with: rooms that hostile input reaches, and nothing that it could invent. */

/** In these anything may be tried. They hold little, so that what is stored stays bounded. */
export const HOSTILE_ROOMS = ['hostile:plain', 'hostile:acks', 'hostile:bare', 'hostile:users'];
/** Of the uninvolved. */
export const QUIET_ROOM = 'bystanders';
/** The server API accepts this key, so that hostile requests come past the guard too. */
export const API_KEY = 'the-key-of-the-hostile-run';
export const ISSUER = 'https://id.example.com';
export const AUDIENCE = 'roomcast';

/**
 * Every other room is closed: a message for a name that someone made up would be stored as any other, and the memory
 * that it takes would look like a leak.
 */
export const ROOM_RULES = [
  { match: 'hostile:plain', history: { messages: 20 } },
  { match: 'hostile:acks', history: { messages: 20 }, acks: true },
  { match: 'hostile:bare', history: false, presence: false },
  { match: 'hostile:users', join: 'authenticated', publish: 'authenticated', history: { messages: 20 } },
  { match: QUIET_ROOM },
  { match: 'chaos:*' },
  { match: '*', join: 'nobody', publish: 'server', history: false, presence: false },
];

export function hostileEnv(publicKeyFile: string): Record<string, string> {
  return {
    ROOMCAST_AUTH_PUBLIC_KEY_FILE: publicKeyFile,
    ROOMCAST_AUTH_ISSUER: ISSUER,
    ROOMCAST_AUTH_AUDIENCE: AUDIENCE,
    ROOMCAST_AUTH_ANONYMOUS: 'true',
    ROOMCAST_API_KEYS: API_KEY,
    ROOMCAST_ROOMS: JSON.stringify(ROOM_RULES),
    ROOMCAST_METRICS_RENDERS_PER_SECOND: '0',
    ROOMCAST_LOG_LEVEL: 'info',
  };
}
