/** The checked, frozen settings that the rest of a node is given. */
import type { Settings } from './schema.ts';

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

/** Deeply frozen. `tls` is null unless both of its files are set. */
export type Config = DeepReadonly<Omit<Settings, 'tls'>> & { readonly tls: TlsFiles | null };

/** Takes settings that passed every check. */
export function toConfig(settings: Settings): Config {
  const { certFile, keyFile, passphrase } = settings.tls;
  const tls = certFile !== null && keyFile !== null ? { certFile, keyFile, passphrase } : null;
  return deepFreeze({ ...settings, tls });
}

export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}
