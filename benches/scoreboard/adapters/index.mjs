import { bentocache } from './bentocache.mjs';
import { cacheManager } from './cache-manager.mjs';
import { cacheable } from './cacheable.mjs';
import { oxcart, oxcartBus } from './oxcart.mjs';

/** The caches, by name, in the order of the table. Each loads its package when it is opened. */
export const adapters = { oxcart, bentocache, cacheable, 'cache-manager': cacheManager };

/** Those that are played beside the table. */
export const variants = { ...adapters, [oxcartBus.name]: oxcartBus };
