/** What to do about why a node cannot be reached, where the reason alone does not say. */

interface Remedy {
  readonly reason: RegExp;
  /** Instead of the reason, where that is of no use to people. */
  readonly says?: string;
  readonly todo: string;
  /** Of the URL. Default: any. */
  readonly scheme?: RegExp;
}

const REMEDIES: readonly Remedy[] = [
  {
    reason:
      /self.signed certificate|UNABLE_TO_VERIFY|unable to (verify the first|get (local )?issuer) certificate/i,
    todo: 'for an authority of your own, set NODE_EXTRA_CA_CERTS to its PEM file',
  },
  {
    reason: /certificate's altnames/,
    todo: 'use a name in the URL that the certificate is for',
  },
  {
    reason: /certificate has expired/,
    todo: 'it must be renewed at the node, or at the proxy in front of it',
  },
  {
    reason: /wrong version number|packet length too long|ERR_SSL_WRONG_VERSION/,
    says: 'what answers there does not use TLS',
    todo: 'use ws:// (or http://), or name the port that uses TLS',
    scheme: /^(wss|https):/i,
  },
  {
    reason: /socket hang up|other side closed|ECONNRESET|UND_ERR_SOCKET/,
    todo: 'if this port uses TLS, use wss:// (or https://)',
    scheme: /^(ws|http):/i,
  },
];

/** `url`: that was tried. */
export function withRemedy(reason: string, url: string): string {
  const text = reason.trim().replace(/:$/, '');
  const remedy = REMEDIES.find((one) => one.reason.test(text) && (one.scheme?.test(url) ?? true));
  return remedy === undefined ? text : `${remedy.says ?? text}: ${remedy.todo}`;
}
