/** The command line or the environment is wrong in a way that the parser of options cannot see. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
