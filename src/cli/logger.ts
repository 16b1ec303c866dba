/** The log writer: pino, as JSON lines for machines or in colour for people. */
import { type DestinationStream, pino, stdSerializers, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from '../config/config.ts';
import type { Logger } from '../util/log.ts';

const MASK = '***';

const SECRET_FIELDS = [
  'token',
  'secret',
  'password',
  'passphrase',
  'apiKey',
  'apiKeys',
  'authorization',
  'cookie',
];

/** Secrets inside text: `?token=x` of an upgrade, a bearer token, the password of a Redis URL, but not that of the example in our messages. */
const SECRETS_IN_TEXT: readonly RegExp[] = [
  /([?&](?:token|access_token|password)=)[^&\s"\\]+/gi,
  /(\bbearer\s+)[^\s"\\,]+/gi,
  /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*:)(?!(?<=\/user:)password@host:6380)[^\s@/"\\]+(?=@)/gi,
];

export interface LogTarget {
  /** Where lines go. Default: standard output, written at once, so that a crash loses none. */
  readonly stream?: DestinationStream;
  /** Whether the output is a terminal. Decides the format for `auto`. */
  readonly terminal: boolean;
}

export function createLogger({ level, format }: Config['log'], { stream, terminal }: LogTarget): Logger {
  const readable = format === 'pretty' || (format === 'auto' && terminal);
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err, error: stdSerializers.err },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: MASK },
      hooks: { streamWrite: withoutSecrets },
    },
    readable ? prettyStream(stream, terminal) : (stream ?? pino.destination({ fd: 1, sync: true })),
  );
}

export function withoutSecrets(text: string): string {
  return SECRETS_IN_TEXT.reduce((masked, pattern) => masked.replace(pattern, `$1${MASK}`), text);
}

/**
 * In this thread: a transport in a worker would lose the last lines before an exit, which give its reason.
 */
function prettyStream(stream: DestinationStream | undefined, colorize: boolean): DestinationStream {
  return pretty({
    sync: true,
    colorize,
    destination: (stream as NodeJS.WritableStream | undefined) ?? 1,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    errorLikeObjectKeys: ['err', 'error'],
  });
}
