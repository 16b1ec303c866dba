/**
 * The server library: a Roomcast node inside a program of your own.
 *
 * ```ts
 * import { loadConfig, silentLog, startNode } from 'roomcast';
 *
 * const loaded = loadConfig({ env: process.env, flags: { port: '8080' } });
 * if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
 * const node = await startNode(loaded.config, silentLog);
 * console.log(`listening on ${node.url}`);
 * await node.stop();
 * ```
 */
export type { BackplaneParts, NodeExtensions } from './app/extensions.ts';
export { type RunningNode, startNode } from './app/start-node.ts';
export type { Config } from './config/config.ts';
export { loadConfig } from './config/load.ts';
export { type Logger, silentLog } from './util/log.ts';
