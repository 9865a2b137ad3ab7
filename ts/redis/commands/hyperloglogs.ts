// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument } from '../command-types.js';

/** Commands of the group "hyperloglogs". */
export interface HyperloglogsCommands {
  /** Adds elements; whether the estimate changed. */
  pfadd(key: Key, ...elements: (RedisArgument | readonly RedisArgument[])[]): Promise<boolean>;
  /** Estimated number of different elements. */
  pfcount(...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Merges into `destination`. */
  pfmerge(destination: Key, ...sources: (Key | readonly Key[])[]): Promise<'OK'>;
}
