// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { BitmapsCommands } from './bitmaps.js';
import type { GeoCommands } from './geo.js';
import type { HashesCommands } from './hashes.js';
import type { HyperloglogsCommands } from './hyperloglogs.js';
import type { KeysCommands } from './keys.js';
import type { ListsCommands } from './lists.js';
import type { ScriptsCommands } from './scripts.js';
import type { ServerCommands } from './server.js';
import type { SetsCommands } from './sets.js';
import type { SortedSetsCommands } from './sorted-sets.js';
import type { StreamsCommands } from './streams.js';
import type { StringsCommands } from './strings.js';

/** Every command that has a method, but for those that `RedisService` itself documents. */
export interface RedisCommands
  extends StringsCommands,
    KeysCommands,
    HashesCommands,
    ListsCommands,
    SetsCommands,
    SortedSetsCommands,
    StreamsCommands,
    BitmapsCommands,
    GeoCommands,
    HyperloglogsCommands,
    ScriptsCommands,
    ServerCommands {}
