/** What the commands exit with. `docs/command-line.md` has the table. */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The node said no. */
  refused: 3,
  /** There is no connection. */
  unavailable: 4,
  /** As `timeout(1)`. */
  timeout: 124,
  /** As shells report a program that a signal ended: 128 and its number. */
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
} as const;
