// Copies what tsc leaves behind (Lua scripts, pages) from src/ to dist/, and marks the command executable.
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { extname } from 'node:path';

const kept = new Set(['', '.lua', '.html', '.css', '.js', '.svg']);
cpSync('src', 'dist', {
  recursive: true,
  filter: (path) => kept.has(extname(path)) && !path.endsWith('.DS_Store'),
});
chmodSync('dist/main.js', 0o755);
// Made for the tests, from the build before; the second by older checkouts.
for (const folder of ['dist-test', 'dist/node_modules']) rmSync(folder, { recursive: true, force: true });
