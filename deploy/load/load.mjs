// Clients for a cluster: they join rooms, publish, get cut off and reconnect, and count what they receive.
// Uses the client of the package `roomcast`, which the image holds. Settings are in the environment, defaults below.
import { Client } from './client.mjs';
import { Tally } from './tally.mjs';

const REPORT_MS = 5_000;
/** New connections a second: a start is not a stampede. */
const ARRIVALS_PER_SECOND = 50;
const TICK_MS = 20;

const { env } = process;
const settings = {
  url: env.LOAD_URL || 'ws://localhost:8080/ws',
  token: env.LOAD_TOKEN,
  connections: count('LOAD_CONNECTIONS', 200),
  rooms: Math.max(1, count('LOAD_ROOMS', 20)),
  ratePerSecond: count('LOAD_RATE', 50),
  bytes: count('LOAD_BYTES', 128),
  churnPerSecond: count('LOAD_CHURN', 1),
};

function count(name, standard) {
  const value = env[name] ? Number(env[name]) : standard;
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`${name} must be a number of 0 or more, got ${env[name]}`);
  return process.exit(1);
}

const tally = new Tally();
const clients = [];
const filler = 'x'.repeat(settings.bytes);

/** Calls `work` that many times a second, as evenly as the timer allows. */
function pace(perSecond, work) {
  const beganMs = performance.now();
  let done = 0;
  setInterval(() => {
    const due = Math.floor(((performance.now() - beganMs) / 1000) * perSecond);
    for (; done < due; done++) work();
  }, TICK_MS);
}

function anyone() {
  return clients[Math.floor(Math.random() * clients.length)];
}

function arrive() {
  if (clients.length >= settings.connections) return;
  const room = `load:${clients.length % settings.rooms}`;
  const { url, token } = settings;
  clients.push(new Client({ url, token, room, tally }));
}

function report() {
  console.log(tally.line(clients.filter((client) => client.isOpen).length));
}

console.log(
  `${settings.connections} connections in ${settings.rooms} rooms, ${settings.ratePerSecond} messages/s of ${settings.bytes} bytes, ${settings.churnPerSecond} connections cut a second`,
);
pace(ARRIVALS_PER_SECOND, arrive);
pace(settings.ratePerSecond, () => anyone()?.publish(filler));
pace(settings.churnPerSecond, () => anyone()?.cut());
setInterval(report, REPORT_MS);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    report();
    process.exit(0);
  });
}
