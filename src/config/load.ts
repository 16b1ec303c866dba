/** Merges the sources: defaults, then the file, then given settings, then the environment, then flags. Later sources win. */
import { splitRedisUrls } from '../util/redis-url.ts';
import { type CheckContext, crossProblems, fileProblems } from './checks.ts';
import { type Config, toConfig } from './config.ts';
import { CONFIG_VARIABLE, type Environment, productionOf, readEnvironment, variable } from './environment.ts';
import { readConfigFile, readGivenSettings } from './file.ts';
import { type Flags, readFlags } from './flags.ts';
import { problemLines, shown } from './problems.ts';
import { type GivenSettings, settingsSchema } from './schema.ts';
import { SETTINGS } from './settings.ts';
import { emptySource, type Given, type Source } from './source.ts';

export interface LoadOptions {
  /** Path of a YAML or JSON file. Default: the file that `ROOMCAST_CONFIG` names, or none. */
  readonly file?: string | undefined;
  /** Settings as in a file, given as an object. They win over those of the file. */
  readonly settings?: GivenSettings;
  readonly env: Environment;
  readonly flags?: Flags;
}

/** A configuration, or everything wrong with it: one line each, naming the source and the key. */
export type LoadResult = { readonly config: Config } | { readonly problems: readonly string[] };

/** Reads files and nothing else. Never throws for what an operator wrote. */
export function loadConfig({ file, settings, env, flags = {} }: LoadOptions): LoadResult {
  const sources = [
    readFile(file ?? variable(env, CONFIG_VARIABLE)),
    readGivenSettings(settings),
    readEnvironment(env),
    readFlags(flags),
  ];
  const merged = new MergedSettings(
    env,
    sources.flatMap(({ unread }) => unread),
  );
  const problems = sources.flatMap(({ problems }) => problems);
  for (const given of sources.flatMap((source) => source.given)) problems.push(...merged.take(given));
  problems.push(...merged.conflicts(), ...merged.unclearProduction(env));
  return problems.length > 0 ? { problems } : { config: toConfig(merged.settings()) };
}

function readFile(path: string | null): Source {
  return path === null ? emptySource() : readConfigFile(path);
}

class MergedSettings {
  private readonly values: Map<string, unknown>;
  private readonly origins = new Map<string, string>();
  private readonly refused: Set<string>;

  constructor(env: Environment, unread: readonly string[]) {
    this.refused = new Set(unread);
    this.values = new Map(SETTINGS.map(({ path, schema }) => [path, schema.safeParse(undefined).data]));
    // An unclear value counts as production; `unclearProduction` reports it.
    this.values.set('production', productionOf(env) ?? true);
  }

  /** Replaces an earlier value. Returns what is wrong with the new one: then the earlier one stays. */
  take({ setting, value, origin }: Given): string[] {
    const { path, schema } = setting;
    const result = schema.safeParse(value);
    // `undefined` would parse as the default, which no source can ask for.
    if (!result.success) {
      this.refused.add(path);
      return problemLines(origin, result.error, value, setting);
    }
    this.values.set(path, result.data);
    this.origins.set(path, origin);
    return [];
  }

  /** Reports an unclear `NODE_ENV`, unless `production` itself is set: then `NODE_ENV` decides nothing. */
  unclearProduction(env: Environment): string[] {
    if (productionOf(env) !== null || this.origins.has('production')) return [];
    return [
      `environment NODE_ENV: expected exactly production, without quotes, or a different word, got ${shown(env.NODE_ENV)}: correct it or set ROOMCAST_PRODUCTION`,
    ];
  }

  conflicts(): string[] {
    const context: CheckContext = {
      originOf: (path) => this.origins.get(path) ?? `default ${path}`,
      refused: this.refused,
    };
    return [
      ...crossProblems(this.settings(), context),
      ...fileProblems((path) => this.values.get(path), context),
    ];
  }

  /** The whole tree. Each value has passed its own schema, so the whole schema accepts it. */
  settings() {
    const root: Record<string, unknown> = {};
    for (const { path, keys } of SETTINGS) put(root, keys, this.values.get(path));
    root.demo ??= !root.production;
    const redis = root.redis as { url: string | null; cluster?: boolean };
    redis.cluster ??= redis.url !== null && splitRedisUrls(redis.url).length > 1;
    return settingsSchema.parse(root);
  }
}

function put(root: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  let group = root;
  for (const key of keys.slice(0, -1)) {
    group[key] ??= {};
    group = group[key] as Record<string, unknown>;
  }
  group[keys.at(-1)!] = value;
}
