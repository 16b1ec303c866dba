// The image's HEALTHCHECK: exits 0 if the node in this container answers that it is alive. It finds the node
// through the environment, like the node's own settings; if a file or a flag sets the port, set ROOMCAST_PORT
// too.
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';

const { ROOMCAST_HOST, ROOMCAST_PORT, PORT, ROOMCAST_TLS_CERT_FILE } = process.env;
const get = ROOMCAST_TLS_CERT_FILE ? httpsGet : httpGet;
const anywhere = !ROOMCAST_HOST || ROOMCAST_HOST === '0.0.0.0' || ROOMCAST_HOST === '::';

const request = get(
  {
    host: anywhere ? '127.0.0.1' : ROOMCAST_HOST,
    port: ROOMCAST_PORT || PORT || 8080,
    path: '/healthz',
    timeout: 2000,
    // The certificate names the service, not this address.
    rejectUnauthorized: false,
  },
  ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1),
);
request.on('timeout', () => request.destroy(new Error('no answer within 2 s')));
request.on('error', ({ message }) => {
  console.error(message);
  process.exit(1);
});
