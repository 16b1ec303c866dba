/** The demo at `/`: a chat on the client library. */
import { readFileSync } from 'node:fs';
import { fileRoute } from './file-route.ts';
import type { Route } from './route.ts';

const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/chat.js', 'chat.js', 'text/javascript; charset=utf-8'],
  ['/chat.css', 'chat.css', 'text/css; charset=utf-8'],
] as const;

/** The page loads its own files, talks to its own host, and turns no text into HTML or code. */
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const headers = {
  'Content-Security-Policy': POLICY,
  // It needs none of them, and neither does what might be made to run in it.
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  // A page that opens it, or that it opens, gets no hold of its window.
  'Cross-Origin-Opener-Policy': 'same-origin',
};

export function demoPage(): Route[] {
  return FILES.map(([path, file, contentType]) => {
    const body = readFileSync(new URL(`demo/${file}`, import.meta.url));
    return fileRoute({ path, contentType, body, headers });
  });
}
