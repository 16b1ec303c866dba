#!/usr/bin/env node
import { processPipes, tolerateClosedPipes } from './cli/pipes.ts';
import { run } from './cli/program.ts';

tolerateClosedPipes();
const exitCode = await run(process.argv.slice(2), {
  env: process.env,
  terminal: process.stdout.isTTY === true,
  stderrTerminal: process.stderr.isTTY === true,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  pipes: processPipes,
  // Loaded when wanted: the other commands need neither sockets nor Redis.
  serve: async (config, log, read) => (await import('./cli/serve.ts')).serve(config, log, read),
});
// A node that is up keeps the process alive; a start that failed may have left links open that would do the same.
if (exitCode !== 0) process.exit(exitCode);
