/**
 * The only file that imports uWebSockets.js. It is a native addon: without a build for this machine, this
 * file's error says more than the loader's.
 */
import type * as UWebSockets from 'uWebSockets.js';
import { MAX_HEADER_BYTES } from '../protocol/limits.ts';

export type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js';

/** Of the upstream release that is pinned in package.json. */
export const UWS_VERSION = '20.49.0';

const SUPPORTED_MAJORS = [20, 22];

function unsupported(cause: unknown): string {
  const major = Number(process.versions.node.split('.')[0]);
  const detail = cause instanceof Error ? (cause.message.split('\n').at(-1) ?? '') : String(cause);
  if (!SUPPORTED_MAJORS.includes(major)) {
    return `Roomcast runs on Node 20 and 22; this is Node ${process.versions.node}. Install one of those.`;
  }
  if (process.platform === 'linux' && !hasGlibc()) {
    return 'Roomcast needs glibc, but this Linux has another libc (Alpine has musl). Use a Debian-based image, such as node:22-bookworm-slim.';
  }
  return `uWebSockets.js could not be loaded on ${process.platform} ${process.arch}: ${detail} It needs glibc 2.34 or newer on Linux, or macOS or Windows; docs/operations.md says how to switch to another build.`;
}

function hasGlibc(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime !== undefined;
}

async function load(): Promise<typeof UWebSockets & Constants> {
  try {
    return (await import('uWebSockets.js')) as typeof UWebSockets & Constants;
  } catch (cause) {
    throw new Error(unsupported(cause), { cause });
  }
}

/** What the repack has at run time, but its types omit. */
interface Constants {
  readonly DISABLED: number;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  readonly _cfg: (option: string) => void;
}

// The addon reads this once, while it loads: its own limit of 4096 bytes is less than cookies and a token
// with grants take. It does not report how much room is left, and answers 431 by itself, so nothing here can
// count or log that.
process.env.UWS_HTTP_MAX_HEADERS_SIZE = String(MAX_HEADER_BYTES);

/** The addon. If it cannot load, the error says what to do. */
export const uws = await load();

// It names itself and its version in every answer otherwise.
uws._cfg('silent');
