import { createRequire } from 'node:module';
import type * as oxcart from 'oxcart';
import { CacheService } from 'oxcart';
import { Queue as BullmqQueue } from 'oxcart/bullmq';
import { useEverything } from './services.js';

const required: typeof oxcart = createRequire(import.meta.url)('oxcart');
if (required.CacheService !== CacheService) throw new Error('import and require give two different classes');
if (typeof BullmqQueue.prototype.add !== 'function') throw new Error('no queue of oxcart/bullmq');
console.log(JSON.stringify(await useEverything(process.argv[2]!)));
