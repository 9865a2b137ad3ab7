// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument } from '../command-types.js';

/** Commands of the group "sets". */
export interface SetsCommands {
  /** Adds members; resolves to how many are new. */
  sadd(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** How many members there are. */
  scard(key: Key): Promise<number>;
  /** Members of the first set that none of the others has. */
  sdiff(...keys: (Key | readonly Key[])[]): Promise<string[]>;
  /** {@link sdiff} with Buffers. */
  sdiffBuffer(...keys: (Key | readonly Key[])[]): Promise<Buffer[]>;
  /** Stores them; resolves to their number. */
  sdiffstore(destination: Key, ...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Members that all sets have. */
  sinter(...keys: (Key | readonly Key[])[]): Promise<string[]>;
  /** {@link sinter} with Buffers. */
  sinterBuffer(...keys: (Key | readonly Key[])[]): Promise<Buffer[]>;
  /** How many they are: `sintercard(2, 'a', 'b', 'LIMIT', 100)`. */
  sintercard(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Stores them; resolves to their number. */
  sinterstore(destination: Key, ...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Whether it is a member. */
  sismember(key: Key, member: RedisArgument): Promise<boolean>;
  /** All members. */
  smembers(key: Key): Promise<string[]>;
  /** {@link smembers} with Buffers. */
  smembersBuffer(key: Key): Promise<Buffer[]>;
  /** Whether each is a member. */
  smismember(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<boolean[]>;
  /** Moves a member to another set; whether it was there. */
  smove(source: Key, destination: Key, member: RedisArgument): Promise<boolean>;
  /** Takes a member at random, `null` when there is none. */
  spop(key: Key): Promise<string | null>;
  /** Takes up to `count` members at random. */
  spop(key: Key, count: number | bigint): Promise<string[]>;
  /** {@link spop} with Buffers. */
  spopBuffer(key: Key): Promise<Buffer | null>;
  /** {@link spop} with Buffers. */
  spopBuffer(key: Key, count: number | bigint): Promise<Buffer[]>;
  /** A member at random, `null` when there is none. */
  srandmember(key: Key): Promise<string | null>;
  /** Members at random: different ones, or with a negative count any. */
  srandmember(key: Key, count: number | bigint): Promise<string[]>;
  /** {@link srandmember} with Buffers. */
  srandmemberBuffer(key: Key): Promise<Buffer | null>;
  /** {@link srandmember} with Buffers. */
  srandmemberBuffer(key: Key, count: number | bigint): Promise<Buffer[]>;
  /** Removes members; resolves to how many there were. */
  srem(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** One step through all members. */
  sscan(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: string, elements: string[]]>;
  /** {@link sscan} with Buffers. */
  sscanBuffer(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: Buffer, elements: Buffer[]]>;
  /** Members that one of the sets has. */
  sunion(...keys: (Key | readonly Key[])[]): Promise<string[]>;
  /** {@link sunion} with Buffers. */
  sunionBuffer(...keys: (Key | readonly Key[])[]): Promise<Buffer[]>;
  /** Stores them; resolves to their number. */
  sunionstore(destination: Key, ...keys: (Key | readonly Key[])[]): Promise<number>;
}
