/** The schema as a flat list: one entry per setting, with all of its names. */
import { z } from 'zod';
import { type FieldNotes, fieldNotes } from './fields.ts';
import { settingsSchema } from './schema.ts';

export interface Setting extends FieldNotes {
  /** Keys joined with dots, such as `heartbeat.intervalMs`. */
  readonly path: string;
  readonly keys: readonly string[];
  /** Its environment variable, such as `ROOMCAST_HEARTBEAT_INTERVAL_MS`. */
  readonly environment: string;
  readonly schema: z.ZodType;
}

export const ENVIRONMENT_PREFIX = 'ROOMCAST_';

/** In the order of the schema. */
export const SETTINGS: readonly Setting[] = settingsUnder(settingsSchema, []);

export const SETTING_AT: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.map((setting) => [setting.path, setting]),
);

/** Paths of groups of settings: `heartbeat`, `redis`, `redis.tls`. */
export const GROUPS: ReadonlySet<string> = new Set(SETTINGS.flatMap(({ keys }) => groupsAbove(keys)));

/** The flag's name as commander reports it, without dashes and argument: `apiKey` for `--api-key <key>`. */
export function flagKey(flag: string): string {
  return flagName(flag)
    .slice(2)
    .replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** `--api-key` for `--api-key <key>`. */
export function flagName(flag: string): string {
  return flag.split(' ', 1)[0]!;
}

function settingsUnder(schema: z.ZodType, keys: readonly string[]): Setting[] {
  const notes = fieldNotes.get(schema);
  if (notes) return [{ ...notes, path: keys.join('.'), keys, environment: environmentName(keys), schema }];
  if (!(schema instanceof z.ZodObject)) throw new Error(`the setting ${keys.join('.')} has no notes`);
  return Object.entries(schema.shape).flatMap(([key, member]) => settingsUnder(member, [...keys, key]));
}

function environmentName(keys: readonly string[]): string {
  const words = keys.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return ENVIRONMENT_PREFIX + words.join('_');
}

function groupsAbove(keys: readonly string[]): string[] {
  return keys.slice(0, -1).map((_, depth) => keys.slice(0, depth + 1).join('.'));
}
