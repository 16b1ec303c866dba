import type { WebSocketConstructor } from './environment.ts';

/** The WebSocket of the package `ws`. */
export async function findWs(): Promise<WebSocketConstructor> {
  try {
    const { WebSocket } = await import('ws');
    return WebSocket as unknown as WebSocketConstructor;
  } catch (cause) {
    const advice = 'run "npm install ws", use Node 22 or later, or pass one as options.WebSocket';
    throw new Error(`this version of Node has no WebSocket: ${advice}`, { cause });
  }
}
