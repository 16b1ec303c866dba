// A chat with history, typing, and who is here. It survives lost connections and nodes.
import { RoomcastClient } from './client.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const randomId = () => crypto.getRandomValues(new Uint32Array(3)).join('-');
const me = randomId(); // of this page: the id of its connection changes with each connection

const client = new RoomcastClient('ws', {
  token: query.get('token') ?? undefined,
  onError: (error) => notice(error.message, true),
});
let room = null;
let name = '';
let isIn = false; // the room's history is on the page
const unsent = new Map(); // message id -> its line on the page

// ---- the room ----

function enter() {
  name = $('name').value.trim();
  room = client.room($('room').value.trim(), { last: 50, members: true, presence: { from: me, name } });
  room.on('message', arrived);
  room.on('signal', typed);
  room.on('members', showPeople);
  room.on('member', () => (isTold = true));
  room.on('joined', joined);
  room.on('gap', ({ from, to, reason }) =>
    notice(`messages #${from} to #${to} are missing: ${reason}`, true),
  );
  room.on('reset', () => notice('the history of this room was lost and started anew', true));
  room.on('refused', (error) => leave(`Cannot join ${room.name}: ${error.message}`));
  room.on('removed', ({ reason }) => leave(`You were removed from ${room.name}: ${reason}`));
  $('log').replaceChildren();
  showPlace();
}

function leave(problem = '') {
  room?.leave();
  room = people = null;
  isIn = isTold = false;
  unsent.clear();
  for (const from of [...typists.keys()]) stopTyping(from);
  showPlace(problem);
}

function send(text) {
  const id = randomId();
  const item = bubble(me, name, text);
  unsent.set(id, item);
  const isConnected = client.status.state === 'connected';
  item.lastChild.textContent = isConnected ? 'sending…' : 'waiting for the connection';
  show(item);
  room.publish({ id, from: me, name, text }).then(
    () => stamp(item, Date.now()),
    (error) => {
      item.classList.replace('unsent', 'failed');
      item.lastChild.textContent = `not sent: ${error.message}`;
    },
  );
}

/** Anything may be in a room: it is shown, whatever its shape. */
function arrived({ time, sender, data }) {
  const { id, from = sender, name = sender ?? 'server', text = JSON.stringify(data) } = Object(data);
  stopTyping(from);
  if (from !== me && isIn && document.hidden) countUnread();
  // One's own message moves to its place in the order that everyone sees.
  const item = unsent.get(id) ?? bubble(from, String(name), text);
  unsent.delete(id);
  stamp(item, time);
  show(item);
}

function joined({ missed, reset }) {
  const news =
    ['nothing was missed', '1 message came meanwhile'][missed] ?? `${missed} messages came meanwhile`;
  if (!isIn) notice(`You joined ${room.name} · ${$('count').textContent} here`);
  else if (!reset) notice(`caught up: ${news}`);
  isIn = true;
}

// ---- who is here ----

let people = null; // names by page
let isTold = false;

function showPeople({ members, count, partial, truncated }) {
  const before = people;
  // Someone who comes back may be listed twice for some seconds: a new connection, and one on a node that died.
  const names = members.map(({ connection, data }) => [
    data?.from ?? connection,
    String(data?.name ?? connection),
  ]);
  people = partial || truncated ? null : new Map(names); // null: too many to list
  $('count').textContent = people?.size ?? count;
  $('people').replaceChildren(...Array.from(people ?? [], ([from, who]) => tinted('li', who, from)));
  if (!before || !people) return;
  for (const [from, who] of people) if (!before.has(from)) notice(`${who} joined · ${people.size} here`);
  for (const [from, who] of before) if (!people.has(from)) notice(`${who} left · ${people.size} here`);
}

/** A room tells of each change if its rule says `memberEvents: true`. Others are asked. */
async function askForPeople() {
  const asked = room;
  if (!isIn || isTold || client.status.state !== 'connected') return;
  const list = await asked.listMembers().catch(() => null);
  if (list && room === asked && !isTold) showPeople(list);
}

// ---- typing: signals are not kept, and do not come back to who sent them ----

const typists = new Map(); // page -> {name, timer}
let typedAt = 0;

function typing() {
  if (Date.now() - typedAt < 2000) return;
  typedAt = Date.now();
  room.signal({ from: me, name });
}

function typed({ sender, data }) {
  const { from = sender, name = 'someone' } = Object(data);
  clearTimeout(typists.get(from)?.timer);
  typists.set(from, { name: String(name), timer: setTimeout(stopTyping, 4000, from) });
  showTyping();
}

function stopTyping(from) {
  clearTimeout(typists.get(from)?.timer);
  if (typists.delete(from)) showTyping();
}

function showTyping() {
  const names = Array.from(typists.values(), ({ name }) => name);
  const who = names.length > 3 ? 'Several people' : names.join(', ');
  $('typing').textContent = who && `${who} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

// ---- the connection ----

function showStatus({ state, node, user, reason, transport }) {
  const texts = {
    connected: transport === 'sse' ? 'connected over HTTP: WebSockets are blocked' : `connected to ${node}`,
    waiting: 'disconnected',
    closed: `closed for good: ${reason}`,
  };
  if (state === 'waiting' && document.body.className === 'connected') lost(reason);
  document.body.className = state;
  $('status').textContent = (texts[state] ?? 'connecting…') + (user ? ` as ${user}` : '');
  $('link').title = reason ?? '';
  $('drop').disabled = state !== 'connected';
  showCountdown();
}

function lost(reason) {
  if (room) notice(`disconnected: ${reason}`, true);
  for (const from of [...typists.keys()]) stopTyping(from);
}

function showCountdown() {
  const { state, retryAtMs } = client.status;
  const seconds = Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1000));
  $('retry').textContent = state === 'waiting' ? `next try in ${seconds} s` : '';
}

// ---- the page: text goes in as text, never as HTML ----

function element(tag, className, text) {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** In a color of its own for each page. */
function tinted(tag, text, from) {
  const made = element(tag, '', text);
  const hue = Array.from(String(from)).reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 0);
  made.style.setProperty('--hue', hue);
  return made;
}

function bubble(from, name, text) {
  const item = element('li', from === me ? 'chat own unsent' : 'chat', '');
  item.append(tinted('b', name, from), element('span', '', text), element('small', '', ''));
  item.dataset.from = from;
  return item;
}

function stamp(item, time) {
  item.classList.remove('unsent');
  item.lastChild.textContent = new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

/** At the end of the log. Who reads further up is left there. */
function show(item) {
  const { scrollHeight, scrollTop, clientHeight } = $('scroll');
  const isAtEnd = scrollHeight - scrollTop - clientHeight < 60;
  item.remove();
  item.classList.toggle(
    'more',
    item.dataset.from !== undefined && $('log').lastChild?.dataset.from === item.dataset.from,
  );
  $('log').append(item);
  if ($('log').children.length > 500) $('log').firstChild.remove();
  if (isAtEnd) toEnd();
}

const toEnd = () => $('scroll').scrollTo(0, $('scroll').scrollHeight);
const notice = (text, isBad = false) => show(element('li', isBad ? 'notice bad' : 'notice', text));

let unread = 0;

function countUnread() {
  if (unread === 0) {
    document.querySelector('.unread')?.remove();
    show(element('li', 'unread', 'New messages'));
  }
  document.title = `(${++unread}) Roomcast`;
}

function showPlace(problem = '') {
  $('title').textContent = room?.name ?? 'Roomcast';
  $('enter').hidden = room !== null;
  $('chat').hidden = $('drop').hidden = $('leave').hidden = room === null;
  $('problem').textContent = problem;
  $(room ? 'text' : 'room').focus();
}

$('enter').onsubmit = (event) => {
  event.preventDefault();
  try {
    enter();
  } catch (error) {
    leave(error.message); // such as: the client is closed
  }
};

$('say').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  $('text').value = '';
  typedAt = 0;
  if (text !== '') send(text);
};

$('text').oninput = typing;
$('leave').onclick = () => leave();
$('drop').onclick = () => client.dropConnection();
document.onvisibilitychange = () => {
  if (document.hidden) return;
  unread = 0;
  document.title = 'Roomcast';
};
$('scroll').tabIndex = $('side').tabIndex = 0; // to scroll by keyboard
new ResizeObserver(toEnd).observe($('scroll')); // such as when the keyboard of a phone comes up
setInterval(showCountdown, 250);
setInterval(askForPeople, 2000);
$('name').value = query.get('name') ?? `Guest ${Math.floor(Math.random() * 900 + 100)}`;
$('room').value = query.get('room') ?? 'lobby';
client.onStatus(showStatus);
client.connect();
