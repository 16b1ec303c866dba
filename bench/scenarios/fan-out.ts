import { atMost, loadShape } from './load-shape.ts';
import type { Scenario } from './scenario.ts';
import { BURST, ROOMS, SINGLE } from './usual-loads.ts';

const BROKERS = ['bare', 'bare-redis', 'roomcast', 'roomcast-redis'];
const ROWS = [...BROKERS, 'ws', 'socket.io-redis', 'centrifugo', 'centrifugo-redis'];

export const FAN_OUT: Scenario = {
  name: 'fan-out',
  question:
    'What does the delivery of a message to one member cost: in bursts, singly, and in many small rooms?',
  shapes: [
    loadShape({ name: 'burst', rows: ROWS, control: 'bare', goals: [atMost(0.3, 'bare')], ...BURST }),
    loadShape({
      name: 'burst-5000',
      what: '1 room x 5,000 members, 8 publishers, 64 in flight',
      rows: BROKERS,
      control: 'bare',
      audience: { ...BURST.audience, membersPerRoom: 5000 },
      load: BURST.load,
    }),
    loadShape({ name: 'single', rows: ROWS, control: 'bare', goals: [atMost(1.15, 'bare')], ...SINGLE }),
    loadShape({ name: 'rooms', rows: ROWS, control: 'bare', goals: [atMost(1.25, 'bare')], ...ROOMS }),
  ],
};
