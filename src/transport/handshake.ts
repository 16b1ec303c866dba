import type { HttpRequest } from './uws.ts';

/** The headers of a WebSocket upgrade. A list header spread over several lines is joined into one list. */
export interface Handshake {
  readonly upgrade: string;
  readonly connection: string;
  readonly version: string;
  readonly key: string;
  readonly protocol: string;
}

export interface HandshakeProblem {
  readonly status: 400 | 426;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** `getHeader` returns only the first line of a header. */
export function readHandshake(req: HttpRequest): Handshake {
  const lists: Record<string, string> = { upgrade: '', connection: '', 'sec-websocket-protocol': '' };
  req.forEach((name, value) => {
    const list = lists[name];
    if (list !== undefined) lists[name] = list === '' ? value : `${list}, ${value}`;
  });
  return {
    upgrade: lists.upgrade!,
    connection: lists.connection!,
    protocol: lists['sec-websocket-protocol']!,
    version: req.getHeader('sec-websocket-version'),
    key: req.getHeader('sec-websocket-key'),
  };
}

/** Whether the client meant to open a WebSocket, and did not just visit the address with a browser. */
export function isMeantAsUpgrade({ upgrade, version, key, protocol }: Handshake): boolean {
  return [upgrade, version, key, protocol].some((value) => value !== '');
}

/**
 * What is wrong with a handshake (RFC 6455, section 4.2.1), or null. uWebSockets.js only checks the length of
 * the key, and a balancer that recognises upgrades by their headers would not count what it lets through.
 */
export function handshakeProblem({ upgrade, connection, version, key }: Handshake): HandshakeProblem | null {
  if (!hasToken(upgrade, 'websocket')) {
    return upgradeRequired(`the Upgrade header must be websocket, got ${quoted(upgrade)}`);
  }
  if (!hasToken(connection, 'upgrade')) {
    const message = `the Connection header must contain Upgrade, got ${quoted(connection)}: a proxy may have removed it`;
    return { status: 400, message, headers: {} };
  }
  if (version.trim() !== '13') {
    return upgradeRequired(`Sec-WebSocket-Version must be 13, got ${quoted(version)}`);
  }
  if (KEY.test(key.trim())) return null;
  const message = `Sec-WebSocket-Key must be 16 bytes in base64, got ${quoted(key)}`;
  return { status: 400, message, headers: {} };
}

function upgradeRequired(message: string): HandshakeProblem {
  return { status: 426, message, headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' } };
}

function hasToken(list: string, token: string): boolean {
  return list.split(',').some((item) => item.trim().toLowerCase() === token);
}

function quoted(value: string): string {
  return value === '' ? 'none' : JSON.stringify(value.slice(0, 40));
}
