/** Settings from environment variables. */
import { ENVIRONMENT_PREFIX, SETTINGS, type Setting } from './settings.ts';
import { emptySource, isQuoted, quotesProblem, readText, type Source, valueOfText } from './source.ts';
import { didYouMean } from './suggest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Names the configuration file. Not a setting: it says where the settings are. */
export const CONFIG_VARIABLE = 'ROOMCAST_CONFIG';

/** What the commands of a client read: no settings of a node, and no mistake beside those. */
export const CLIENT_VARIABLES = {
  url: 'ROOMCAST_URL',
  token: 'ROOMCAST_TOKEN',
  adminKey: 'ROOMCAST_ADMIN_KEY',
} as const;

const FILE_SUFFIX = '_FILE';

/** Reads all variables that are settings. An empty one counts as not set: compose files pass those. */
export function readEnvironment(env: Environment): Source {
  const source = emptySource();
  for (const setting of SETTINGS) {
    // The setting's own name beats the common alias.
    for (const name of namesOf(setting)) readVariable(source, env, setting, name);
  }
  for (const name of Object.keys(env)) {
    if (isUnknown(name, env[name])) source.problems.push(unknownLine(name));
  }
  return source;
}

/** A variable's value, or null where it is absent or empty. */
export function variable(env: Environment, name: string): string | null {
  const value = env[name];
  return value === undefined || value.trim() === '' ? null : value;
}

/**
 * Whether `NODE_ENV` says production. Null for a near miss, such as `Production`, `prod` or a value still in
 * the quotes of an env file: treating that as development would open what production closes.
 */
export function productionOf({ NODE_ENV: text = '' }: Environment): boolean | null {
  if (text === 'production') return true;
  return /prod/i.test(text) || isQuoted(text.trim()) ? null : false;
}

function namesOf(setting: Setting): string[] {
  return setting.alias === undefined ? [setting.environment] : [setting.alias, setting.environment];
}

function readVariable(source: Source, env: Environment, setting: Setting, name: string): void {
  const value = variable(env, name);
  const fileName = setting.secret === true ? name + FILE_SUFFIX : null;
  const path = fileName === null ? null : variable(env, fileName);
  if (value !== null && path !== null) {
    source.problems.push(`environment ${name}: conflicts with ${fileName}: remove one of them`);
    source.unread.push(setting.path);
  } else if (path !== null) {
    readSecretFile(source, setting, `environment ${fileName}`, path);
  } else if (value !== null && !isServiceLink(name, value)) {
    take(source, setting, `environment ${name}`, value);
  }
}

function take(source: Source, setting: Setting, origin: string, text: string): void {
  const problem = quotesProblem(setting, text);
  if (problem === null) return void source.given.push({ setting, value: valueOfText(setting, text), origin });
  source.problems.push(`${origin}: ${problem}`);
  source.unread.push(setting.path);
}

function readSecretFile(source: Source, setting: Setting, origin: string, path: string): void {
  const file = readText(path);
  if ('reason' in file) {
    source.problems.push(`${origin}: cannot read ${path}: ${file.reason}`);
    source.unread.push(setting.path);
  } else {
    take(source, setting, origin, file.text);
  }
}

const KNOWN: ReadonlySet<string> = new Set([
  CONFIG_VARIABLE,
  ...Object.values(CLIENT_VARIABLES),
  ...SETTINGS.flatMap(({ environment, secret }) =>
    secret === true ? [environment, environment + FILE_SUFFIX] : [environment],
  ),
]);

function isUnknown(name: string, value: string | undefined): boolean {
  if (!name.startsWith(ENVIRONMENT_PREFIX) || value === undefined) return false;
  return !KNOWN.has(name) && !isServiceLink(name, value);
}

function unknownLine(name: string): string {
  return `environment ${name}: unknown variable${didYouMean(name, KNOWN)}`;
}

/**
 * Kubernetes describes each service to every container in its namespace: a service named `roomcast` sets
 * `ROOMCAST_PORT=tcp://10.0.0.7:80`, `ROOMCAST_SERVICE_HOST` and the like. They are not settings.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_\w+)?$/.test(name) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
  );
}
