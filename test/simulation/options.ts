/** What the command line gives, checked: a number that is none would be no limit at all, and a name that is none a run without faults. */

/** Undefined where it is not given. Throws, with a sentence. */
export function whole(name: string, value: string | undefined, least: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,15}$/.test(value) && Number(value) >= least) return Number(value);
  throw new Error(`--${name} must be a whole number from ${least}, got "${value}"`);
}

/** As `whole`, for what may have a fraction. */
export function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{0,15}(\.\d{1,9})?$/.test(value) && Number(value) > 0) return Number(value);
  throw new Error(`--${name} must be a number above 0, got "${value}"`);
}

/** As `whole`, for several with commas between them. */
export function wholes(name: string, value: string | undefined, least: number): number[] | undefined {
  return value?.split(',').map((one) => whole(name, one, least)!);
}

/** Names with commas between them, all of them known. */
export function names(
  name: string,
  value: string | undefined,
  known: readonly string[],
): string[] | undefined {
  const given = value?.split(',');
  const unknown = given?.find((one) => !known.includes(one));
  if (unknown === undefined) return given;
  throw new Error(`--${name}: "${unknown}" is unknown: there are ${known.join(', ')}`);
}
