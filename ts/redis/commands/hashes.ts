// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument } from '../command-types.js';

/** Commands of the group "hashes". */
export interface HashesCommands {
  /** Removes fields; resolves to how many there were. */
  hdel(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Whether a field exists. */
  hexists(key: Key, field: RedisArgument): Promise<boolean>;
  /** Gives fields a time to live: `hexpire(key, 60, 'FIELDS', 1, 'name')` (Redis 7.4). */
  hexpire(key: Key, seconds: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** The same with the time of death (Redis 7.4). */
  hexpireat(
    key: Key,
    unixSeconds: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number[]>;
  /** When fields die, in seconds since 1970 (Redis 7.4). */
  hexpiretime(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** The value of a field, `null` without one. */
  hget(key: Key, field: RedisArgument): Promise<string | null>;
  /** {@link hget} with Buffers. */
  hgetBuffer(key: Key, field: RedisArgument): Promise<Buffer | null>;
  /** All fields with their values; empty when the key does not exist. */
  hgetall(key: Key): Promise<Record<string, string>>;
  /** {@link hgetall} with Buffers. */
  hgetallBuffer(key: Key): Promise<Record<string, Buffer>>;
  /** Values of fields, which are removed: `hgetdel(key, 'FIELDS', 1, 'name')` (Redis 8). */
  hgetdel(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<(string | null)[]>;
  /** {@link hgetdel} with Buffers. */
  hgetdelBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<(Buffer | null)[]>;
  /** Values of fields, whose time to live is changed: `hgetex(key, 'EX', 60, 'FIELDS', 1, 'name')` (Redis 8). */
  hgetex(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<(string | null)[]>;
  /** {@link hgetex} with Buffers. */
  hgetexBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<(Buffer | null)[]>;
  /** Adds to the integer in a field. */
  hincrby(key: Key, field: RedisArgument, increment: number | bigint): Promise<number>;
  /** Adds to the number in a field; resolves to its text. */
  hincrbyfloat(key: Key, field: RedisArgument, increment: number | bigint | string): Promise<string>;
  /** {@link hincrbyfloat} with Buffers. */
  hincrbyfloatBuffer(key: Key, field: RedisArgument, increment: number | bigint | string): Promise<Buffer>;
  /** Names of all fields. */
  hkeys(key: Key): Promise<string[]>;
  /** {@link hkeys} with Buffers. */
  hkeysBuffer(key: Key): Promise<Buffer[]>;
  /** How many fields there are. */
  hlen(key: Key): Promise<number>;
  /** Values of fields, in their order, `null` for those that do not exist. */
  hmget(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): Promise<(string | null)[]>;
  /** {@link hmget} with Buffers. */
  hmgetBuffer(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): Promise<(Buffer | null)[]>;
  /** Writes several fields. {@link hset} does too, and says how many are new. */
  hmset(key: Key, ...entries: (RedisArgument | readonly RedisArgument[])[]): Promise<'OK'>;
  hmset(key: Key, ...entries: (RedisArgument | readonly RedisArgument[])[]): Promise<void>;
  /** Writes several fields. {@link hset} does too, and says how many are new. */
  hmset(key: Key, entries: object): Promise<'OK'>;
  hmset(key: Key, entries: object): Promise<void>;
  /** Takes the time to live of fields away (Redis 7.4). */
  hpersist(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** {@link hexpire} in milliseconds (Redis 7.4). */
  hpexpire(
    key: Key,
    milliseconds: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number[]>;
  /** {@link hexpireat} in milliseconds (Redis 7.4). */
  hpexpireat(
    key: Key,
    unixMilliseconds: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number[]>;
  /** {@link hexpiretime} in milliseconds (Redis 7.4). */
  hpexpiretime(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** {@link httl} in milliseconds (Redis 7.4). */
  hpttl(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** A field at random, `null` when there is none. */
  hrandfield(key: Key): Promise<string | null>;
  /** Fields at random: different ones, or with a negative count any. */
  hrandfield(
    key: Key,
    count: number | bigint,
    withValues?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link hrandfield} with Buffers. */
  hrandfieldBuffer(key: Key): Promise<Buffer | null>;
  /** {@link hrandfield} with Buffers. */
  hrandfieldBuffer(
    key: Key,
    count: number | bigint,
    withValues?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** One step through all fields and values. */
  hscan(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: string, elements: string[]]>;
  /** {@link hscan} with Buffers. */
  hscanBuffer(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: Buffer, elements: Buffer[]]>;
  /** Writes fields: `hset(key, 'name', 'Ada')`, `hset(key, { name: 'Ada', age: 36 })`; resolves to how many are new. */
  hset(key: Key, ...entries: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Writes fields: `hset(key, 'name', 'Ada')`, `hset(key, { name: 'Ada', age: 36 })`; resolves to how many are new. */
  hset(key: Key, entries: object): Promise<number>;
  /** Writes fields with a time to live: `hsetex(key, 'EX', 60, 'FIELDS', 1, 'name', 'Ada')` (Redis 8). */
  hsetex(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Writes a field unless it exists; whether it did. */
  hsetnx(key: Key, field: RedisArgument, value: RedisArgument): Promise<boolean>;
  /** Length of a field's value in bytes. */
  hstrlen(key: Key, field: RedisArgument): Promise<number>;
  /** Seconds that fields have to live: `httl(key, 'FIELDS', 1, 'name')` (Redis 7.4). */
  httl(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number[]>;
  /** Values of all fields. */
  hvals(key: Key): Promise<string[]>;
  /** {@link hvals} with Buffers. */
  hvalsBuffer(key: Key): Promise<Buffer[]>;
}
