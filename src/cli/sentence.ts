/** A failed connection to several addresses is an error without a message, around errors that have one. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) return error.errors.map(sentenceOf).join('; ');
  return error.name;
}
