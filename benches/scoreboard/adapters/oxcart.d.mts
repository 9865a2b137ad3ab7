import type { Adapter } from '../world.mjs';

export const oxcart: Adapter & { fails: readonly string[] };
export const oxcartBus: Adapter & { fails: readonly string[] };
