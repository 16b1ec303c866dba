/** What an error says, in one line. */

/** The code that the system gave, such as ECONNREFUSED, or else the message, without the full stop that some of Redis's have. */
export function codeOrMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message }: Error & { readonly code?: unknown } = error;
  return typeof code === 'string' ? code : message.replace(/\.$/, '');
}

/** The message. A connect that failed at several addresses is an error without one, around errors that have one. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) return error.errors.map(sentenceOf).join('; ');
  return error.name;
}
