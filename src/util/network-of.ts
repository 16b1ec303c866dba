/**
 * The network that an IP address counts as, where clients are limited by address: an IPv4 address itself, and the first 64 bits of
 * an IPv6 address, since that is what one customer of a provider has at least. Text that is no address counts as itself.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const bare = address.replace(/%.*$/, '');
  const embedded = /^::(?:ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (embedded !== undefined) return embedded;
  const [head = '', tail] = bare.split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const zeros =
    tail === undefined ? [] : Array<string>(Math.max(0, GROUPS - front.length - back.length)).fill('0');
  return `${[...front, ...zeros, ...back].slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

const GROUPS = 8;
const NETWORK_GROUPS = 4;

/** In their shortest form. An IPv4 address at the end is two groups, and never among the first four. */
function groupsOf(text: string): string[] {
  if (text === '') return [];
  return text
    .toLowerCase()
    .split(':')
    .flatMap((group) => (group.includes('.') ? ['0', '0'] : group.replace(/^0+(?=.)/, '')));
}
