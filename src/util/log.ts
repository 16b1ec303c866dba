/** The log, as modules see it. They depend on this, not on the library that writes it. */

/** Facts beside the message. Secrets go under a name that the writer masks: `token`, `secret`, `password`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** MUST NOT throw. A message is one sentence without values, so that equal events have equal messages. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

function ignore(): void {
  // Deliberately empty.
}

/** Writes nothing: for tests, and for parts built without a log. */
export const silentLog: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
