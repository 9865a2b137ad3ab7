// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "bitmaps". */
export interface BitmapsCommands {
  /** How many bits are set, in all or from byte `start` to `end`. */
  bitcount(key: Key, ...range: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Integers of any width: `bitfield(key, 'INCRBY', 'u8', 0, 1, 'GET', 'u4', 8)`. */
  bitfield(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link bitfield} with Buffers. */
  bitfieldBuffer(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** {@link bitfield} with `GET` only. */
  bitfield_ro(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link bitfield_ro} with Buffers. */
  bitfield_roBuffer(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Stores `AND`, `OR`, `XOR` or `NOT` of values; resolves to the length. */
  bitop(operation: string, destination: Key, ...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Where the first bit is that is so, -1 for none. */
  bitpos(key: Key, bit: number | bigint, ...range: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** The bit at a place, 0 or 1. */
  getbit(key: Key, offset: number | bigint): Promise<number>;
  /** Sets the bit at a place; resolves to the one before. */
  setbit(key: Key, offset: number | bigint, bit: number | bigint): Promise<number>;
}
