/** All planted faults: each is to be found by the simulation. */
import { BACKPLANE_FAULTS } from './backplane-faults.ts';
import { CLIENT_FAULTS } from './client-faults.ts';
import { NODE_FAULTS } from './node-faults.ts';

export { mutationOf } from './fault.ts';

export const FAULTS = [...CLIENT_FAULTS, ...NODE_FAULTS, ...BACKPLANE_FAULTS];
