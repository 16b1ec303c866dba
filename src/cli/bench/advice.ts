/** What went wrong, and what to do about it. */

/** Explanations for errors of the driver, the system or a node; the first matching pattern wins. */
const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/ECONNREFUSED/, 'nothing listens there: check that the node runs, and the host and port'],
  [/ENOTFOUND|EAI_AGAIN/, 'unknown host name: check the URL and DNS'],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, 'cannot reach the host: check the network and firewalls'],
  [
    /EMFILE|ENFILE/,
    'too many open files: raise the limit (ulimit -n), or spread connections with --processes',
  ],
  [
    /EADDRNOTAVAIL/,
    'this machine has no free ports left for that address: give several URLs, or use a second machine',
  ],
  [
    /certificate|CERT_|UNABLE_TO_/i,
    'the certificate is not trusted here: for a private authority, set NODE_EXTRA_CA_CERTS',
  ],
  [/EPROTO|wrong version number/, 'no TLS there: use ws:// instead of wss://'],
  [/ 401 |unauthorized|token_expired|code 4501|code 4002/, 'give a valid token: --token or --token-file'],
  [/forbidden| 403 /, 'not permitted: use a token that permits it, or open rooms (--room-prefix)'],
  [
    /rate_limited|code 4009/,
    'a node takes so many commands and bytes a second from one connection, and from one user (--token): use more --publishers (--outside where members are few) or a lower --rate, or raise the limit that the error names, such as limits.commandsPerSecond, for the test',
  ],
  [
    / 429 /,
    'a node or a proxy limits connections from one address or of one user: lower --connect-rate, or raise its limit (docs/limits.md)',
  ],
  [
    / 503 /,
    'the node is full or limits new connections (websocket.maxConnections, acceptRate.perSecond): lower --connect-rate',
  ],
  [/an upgrade was refused/, 'no node answers there: check the path (websocket.path, by default /ws)'],
  [/code 1009|payload_too_large/, 'a publish is larger than websocket.maxPayloadBytes: lower --payload'],
  [/code 4008/, 'a member read too slowly for the rule of its room: the driver or the network is the limit'],
  [
    /^\["gap"/,
    'more was published while a member was away than its room keeps: raise history.messages or history.ageMs, or lower --rate',
  ],
  [/^\["reset"/, 'the numbering of a room started over: check whether the node or Redis restarted'],
  [/"unavailable"|"timeout"/, 'the backplane did not answer: see /readyz and the log of the node'],
  [/code 1001|code 1012|"bye"/, 'the node is shutting down'],
  [
    /socket hang up|ECONNRESET|closed a connection/,
    'a connection was closed: by a proxy with limits, a node that stopped, or a TLS mismatch (ws:// or wss://)',
  ],
];

const OF_A_PROCESS = 'a driver process failed: ';
/** Extracts the words from the numbers and file names of an OpenSSL error. */
const OF_OPENSSL = /^\w+:error:\w+:SSL routines:[^:]*:([^:]*):.*$/s;

/** `what`: the driver's message. */
export function withAdvice(what: string): string {
  const said = (what.startsWith(OF_A_PROCESS) ? what.slice(OF_A_PROCESS.length) : what).replace(
    OF_OPENSSL,
    'TLS: $1',
  );
  const advice = ADVICE.find(([pattern]) => pattern.test(said))?.[1];
  return advice === undefined ? said : `${said} -> ${advice}`;
}

/**
 * Whether going on is pointless: a publish that a node refuses never arrives, so in the end nothing is in
 * flight.
 */
export function isRateLimit(what: string): boolean {
  return /"rate_limited"|code 4009/.test(what);
}
