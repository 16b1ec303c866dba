export interface Planted {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** For a mistake in a script: where it stands, and its text there. */
  readonly script?: string;
  readonly text: string;
}
export const PLANTED: Readonly<Record<string, Planted>>;
