/** What went wrong, with what to do about it. */

/** Ways in which errors of the driver, of the system or of a node begin to make sense; the first that matches counts. */
const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/ECONNREFUSED/, 'nothing listens there: is the node up, and are host and port right?'],
  [/ENOTFOUND|EAI_AGAIN/, 'the name of the host is not known here'],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, 'the host cannot be reached: is there a firewall on the way?'],
  [
    /EMFILE|ENFILE/,
    'too many open files: raise the limit (ulimit -n), or spread connections with --processes',
  ],
  [
    /EADDRNOTAVAIL/,
    'this machine has no more ports for that address: give several URLs, or use a second machine',
  ],
  [
    /certificate|CERT_|UNABLE_TO_/i,
    'the certificate is not trusted here: name that of a private authority in NODE_EXTRA_CA_CERTS',
  ],
  [/EPROTO|wrong version number/, 'no TLS is spoken there: use ws:// in place of wss://'],
  [
    / 401 |unauthorized|token_expired|code 4501|code 4002/,
    'give a token that is good: --token or --token-file',
  ],
  [/forbidden| 403 /, 'this is not allowed: a token that permits it, or rooms that are open (--room-prefix)'],
  [
    /rate_limited|code 4009/,
    'a node takes so many commands and bytes a second from one connection: use more --publishers (--outside where members are few) or a lower --rate, or raise limits.commandsPerSecond and limits.bytesPerSecond for the test',
  ],
  [
    / 429 /,
    'a proxy limits how many connections come from one address: lower --connect-rate, raise its limit, or go to the nodes directly',
  ],
  [
    / 503 /,
    'the node takes no more, or not so fast (acceptRate.perSecond, websocket.maxConnections): lower --connect-rate',
  ],
  [/an upgrade was refused/, 'no node answers there: is the path right (websocket.path, by default /ws)?'],
  [/code 1009|payload_too_large/, 'a publish is larger than websocket.maxPayloadBytes: lower --payload'],
  [/code 4008/, 'a member read too slowly for the rule of its room: the driver or the network is the limit'],
  [
    /^\["gap"/,
    'more was published while a member was away than its room keeps: raise history.messages or history.ageMs, or lower --rate',
  ],
  [/^\["reset"/, 'the numbering of a room began anew: did the node or its Redis lose it?'],
  [/"unavailable"|"timeout"/, 'the backplane did not answer: see /readyz of the node and its log'],
  [/code 1001|code 1012|"bye"/, 'the node is shutting down'],
  [
    /socket hang up|ECONNRESET|closed a connection/,
    'a connection was closed: by a proxy with limits, a node that ended, or TLS where none is expected (wss://)',
  ],
];

const OF_A_PROCESS = 'a driver process failed: ';
/** The words among the numbers and file names of an error of OpenSSL. */
const OF_OPENSSL = /^\w+:error:\w+:SSL routines:[^:]*:([^:]*):.*$/s;

/** `what` as the driver put it. */
export function withAdvice(what: string): string {
  const said = (what.startsWith(OF_A_PROCESS) ? what.slice(OF_A_PROCESS.length) : what).replace(
    OF_OPENSSL,
    'TLS: $1',
  );
  const advice = ADVICE.find(([pattern]) => pattern.test(said))?.[1];
  return advice === undefined ? said : `${said} -> ${advice}`;
}

/** Whether a run goes on in vain: what a node refuses never comes back, so that in the end nothing is in flight. */
export function isRateLimit(what: string): boolean {
  return /"rate_limited"|code 4009/.test(what);
}
