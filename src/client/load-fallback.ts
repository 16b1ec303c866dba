import type { ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import type { Transport } from './transport.ts';

/** Few networks block WebSockets: the others do not download what they would need then. */
export async function loadFallback(environment: Environment, codec: ClientCodec): Promise<Transport> {
  const { sseTransport } = await import('./sse-transport.ts');
  return sseTransport(environment, codec);
}
