/** How a message becomes a line: JSON for programs, text by a template for people. */

/** What a line can show. */
export interface Line {
  readonly room: string;
  /** Null for signals, and in rooms without history. */
  readonly epoch: string | null;
  readonly offset: number | null;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  readonly sender: string | null;
  readonly data: unknown;
  /** It was a signal. */
  readonly signal?: true;
}

/** Returns one line with its line end. */
export type Formatter = (line: Line) => string;

/** Of a template, what follows `%` or a backslash. */
const DIRECTIVES: Readonly<Record<string, (line: Line) => string>> = {
  '%r': ({ room }) => room,
  '%e': ({ epoch }) => epoch ?? '-',
  '%o': ({ offset }) => (offset === null ? '-' : String(offset)),
  '%t': ({ time }) => isoTime(time),
  '%T': ({ time }) => String(time),
  '%s': ({ sender }) => sender ?? '-',
  '%d': ({ data }) => (typeof data === 'string' ? data : toJson(data)),
  '%j': ({ data }) => toJson(data),
  '%%': () => '%',
  '\\n': () => '\n',
  '\\t': () => '\t',
  '\\0': () => '\0',
  '\\\\': () => '\\',
};

export const FORMAT_HELP =
  '%r room, %e epoch, %o offset, %t time, %T time in ms, %s sender, %d data, %j data as JSON, %%, \\n, \\t, \\0';

export const jsonLine: Formatter = (line) => `${toJson(line)}\n`;

/** `safe`: control characters inside values are shown as escapes, since a terminal would obey them. */
export function textLine(template: string, { safe }: { readonly safe: boolean }): Formatter {
  const parts = partsOf(template).map((part) => {
    const show = DIRECTIVES[part];
    if (show === undefined) return () => part;
    return safe && /^%[a-zA-Z]$/.test(part) ? (line: Line) => withoutControls(show(line)) : show;
  });
  return (line) => `${parts.map((part) => part(line)).join('')}\n`;
}

/** What is wrong with a template, or null. */
export function templateProblem(template: string): string | null {
  const wrong = partsOf(template).find((part) => /^[%\\]/.test(part) && DIRECTIVES[part] === undefined);
  return wrong === undefined ? null : `--format: "${wrong}" is unknown; there are ${FORMAT_HELP}`;
}

function partsOf(template: string): string[] {
  return template.match(/[%\\].?|[^%\\]+/gsu) ?? [];
}

/** As JSON connections get it: bytes as base64, dates as ISO 8601. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    inner instanceof Uint8Array ? Buffer.from(inner).toString('base64') : inner,
  );
}

export function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it exists to replace them.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) =>
    JSON.stringify(char).slice(1, -1) === char
      ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
      : JSON.stringify(char).slice(1, -1),
  );
}

function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
