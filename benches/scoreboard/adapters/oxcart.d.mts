import type { Adapter } from '../world.mjs';

export const oxcart: Adapter & { fails: readonly string[] };
