/** Runs one attack until it is told to stop, in its own process; tests call `Attacker` themselves. */
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { OPCODE, upgradeRequest } from '../../src/load/frames.ts';
import { ATTACKS, type Attack } from './attacks.ts';

/** A client that was refused or closed retries after this, like the worst of them. */
const AGAIN_MS = 50;
/** Apart from those of others: a limit on one address says nothing about theirs. */
const ADDRESS = '127.0.8.1';
/** Bytes of the largest close frame. */
const MOST_OF_CLOSE = 127;

export class Attacker {
  /** How often a socket was closed, by close code; 1006 without a close frame. */
  readonly closes: Record<string, number> = {};
  readonly #attack: Attack;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #sent = 0;
  #isStopped = false;

  constructor(attack: Attack, target: { readonly host: string; readonly port: number }) {
    this.#attack = attack;
    this.#target = target;
  }

  start(): void {
    for (let i = 0; i < this.#attack.sockets; i++) this.#open();
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): void {
    if (this.#isStopped) return;
    const { encoding, isHttp, ignoresClose, isDeaf } = this.#attack;
    const { host, port } = this.#target;
    const socket = connect({ host, port, localAddress: ADDRESS, allowHalfOpen: ignoresClose === true });
    this.#sockets.add(socket);
    let tail: Buffer = Buffer.alloc(0);
    let isOpen = false;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (!isOpen && isHttp !== true) {
        isOpen = true;
        if (isDeaf === true) socket.pause();
        this.#send(socket);
      } else tail = Buffer.concat([tail, data]).subarray(-MOST_OF_CLOSE);
    });
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#isStopped) return;
      if (isHttp !== true) this.#count(closeCode(tail));
      this.#later(() => this.#open());
    });
    if (isHttp === true) this.#send(socket);
    else
      socket.write(
        upgradeRequest(`${host}:${port}`, '/ws', { 'Sec-WebSocket-Protocol': `roomcast.v1.${encoding}` }),
      );
  }

  #send(socket: Socket): void {
    const { perSecond, isOnce, byteEveryMs, sockets } = this.#attack;
    const next = () => this.#next();
    if (byteEveryMs !== undefined) this.#drip(socket, next(), byteEveryMs);
    else if (isOnce === true) {
      socket.write(next());
    } else if (perSecond === null) {
      const pump = () => {
        let isTaken = true;
        while (isTaken && socket.writable) isTaken = socket.write(next());
      };
      socket.on('drain', pump);
      pump();
    } else {
      this.#every((1000 * sockets) / perSecond, socket, () => socket.write(next()));
      socket.write(next());
    }
  }

  #next(): Buffer {
    const { chunk } = this.#attack;
    return typeof chunk === 'function' ? chunk(this.#sent++) : chunk;
  }

  #drip(socket: Socket, bytes: Buffer, everyMs: number): void {
    let at = 0;
    this.#every(everyMs, socket, () => {
      if (at < bytes.length) socket.write(bytes.subarray(at, ++at));
    });
  }

  /** Until the socket closes. */
  #every(ms: number, socket: Socket, work: () => void): void {
    const timer = setInterval(work, ms);
    this.#timers.add(timer);
    socket.once('close', () => {
      clearInterval(timer);
      this.#timers.delete(timer);
    });
  }

  #count(code: number): void {
    this.closes[code] = (this.closes[code] ?? 0) + 1;
  }

  #later(work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, AGAIN_MS);
    this.#timers.add(timer);
  }
}

/** The code of the close frame that ends what was read, or 1006. */
function closeCode(tail: Buffer): number {
  for (let at = tail.length - 4; at >= 0; at--) {
    const isClose = tail[at] === (0x80 | OPCODE.close) && tail[at + 1] === tail.length - at - 2;
    if (isClose) return tail.readUInt16BE(at + 2);
  }
  return 1006;
}

function main([name = '', port = '']: readonly string[]): void {
  const attack = ATTACKS.find((one) => one.name === name);
  if (attack === undefined) throw new Error(`unknown attack "${name}"`);
  const attacker = new Attacker(attack, { host: '127.0.0.1', port: Number(port) });
  attacker.start();
  process.once('message', () => {
    attacker.stop();
    process.send?.(attacker.closes, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(0));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
