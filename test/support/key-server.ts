/** An identity provider's key set on a real HTTP server: what it answers can be changed, and it counts who asks. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** The public key as a JWK, with what was asked for beside it. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function rsaPair(members: Readonly<Record<string, unknown>> = {}, modulusLength = 2048): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength });
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), ...members } };
}

export function ed25519Pair(members: Readonly<Record<string, unknown>> = {}): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), ...members } };
}

export class KeyServer {
  /** Requests so far. */
  asked = 0;
  status = 200;
  /** The body; an object is sent as JSON. */
  body: unknown = { keys: [] };
  #held: ServerResponse[] | null = null;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((_, response) => {
      this.asked++;
      if (this.#held === null) this.#answer(response);
      else this.#held.push(response);
    });
  }

  static async start(): Promise<KeyServer> {
    const made = new KeyServer();
    await once(made.#server.listen(0, '127.0.0.1'), 'listening');
    return made;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks`);
  }

  publish(...pairs: readonly KeyPair[]): void {
    this.status = 200;
    this.body = { keys: pairs.map(({ jwk }) => jwk) };
  }

  /** From now on requests wait for `release`. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const response of held) this.#answer(response);
  }

  async stop(): Promise<void> {
    this.release();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(response: ServerResponse): void {
    const { body, status } = this;
    response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }
}
