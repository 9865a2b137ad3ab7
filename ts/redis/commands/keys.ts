// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "keys". */
export interface KeysCommands {
  /** Copies a key (`'REPLACE'`: over an existing one); whether it did. */
  copy(source: Key, destination: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<boolean>;
  /** Removes keys; resolves to how many there were. */
  del(...keys: (Key | readonly Key[])[]): Promise<number>;
  /** A key's value in the server's own form, for {@link restore}: use `dumpBuffer`, it is not text. */
  dump(key: Key): Promise<string | null>;
  /** {@link dump} with Buffers. */
  dumpBuffer(key: Key): Promise<Buffer | null>;
  /** How many of the keys exist; one named twice counts twice. */
  exists(...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Gives a key a time to live, in seconds; false when it does not exist, or the condition (`NX`, `XX`, `GT`, `LT`) is not met. */
  expire(key: Key, seconds: number | bigint, condition?: string): Promise<boolean>;
  /** The same with the time of death, in seconds since 1970. */
  expireat(key: Key, unixSeconds: number | bigint, condition?: string): Promise<boolean>;
  /** When a key dies, in seconds since 1970: -1 never, -2 when it does not exist. */
  expiretime(key: Key): Promise<number>;
  /** Moves a key to another database; whether it did. */
  move(key: Key, db: number | bigint): Promise<boolean>;
  /** What is known of a key: `object('ENCODING', key)`, `FREQ`, `IDLETIME`, `REFCOUNT`. */
  object(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link object} with Buffers. */
  objectBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Takes a key's time to live away; whether it had one. */
  persist(key: Key): Promise<boolean>;
  /** {@link expire} in milliseconds. */
  pexpire(key: Key, milliseconds: number | bigint, condition?: string): Promise<boolean>;
  /** {@link expireat} in milliseconds. */
  pexpireat(key: Key, unixMilliseconds: number | bigint, condition?: string): Promise<boolean>;
  /** {@link expiretime} in milliseconds. */
  pexpiretime(key: Key): Promise<number>;
  /** Milliseconds a key has to live: -1 without end, -2 when it does not exist. */
  pttl(key: Key): Promise<number>;
  /** Renames a key, over an existing one. */
  rename(source: Key, destination: Key): Promise<'OK'>;
  /** Renames a key unless the new name exists; whether it did. */
  renamenx(source: Key, destination: Key): Promise<boolean>;
  /** Makes a key of what {@link dump} gave. A time of 0 is without end. */
  restore(
    key: Key,
    ttlMs: number | bigint,
    value: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<'OK'>;
  /** One step through all keys, from cursor 0 until it is `'0'` again; {@link RedisService.scanIterator} goes all the way. */
  scan(
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: string, elements: string[]]>;
  /** {@link scan} with Buffers. */
  scanBuffer(
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: Buffer, elements: Buffer[]]>;
  /** Elements of a list, set or sorted set of numbers in order. */
  sort(key: Key): Promise<string[]>;
  /** Elements of a list, set or sorted set in order: `'BY', 'w_*', 'GET', '#', 'LIMIT', 0, 5, 'ALPHA', 'DESC'`. With `'STORE', key` their number. */
  sort(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link sort} with Buffers. */
  sortBuffer(key: Key): Promise<Buffer[]>;
  /** {@link sort} with Buffers. */
  sortBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** {@link sort} without `STORE`. */
  sort_ro(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link sort_ro} with Buffers. */
  sort_roBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Notes that keys were used; resolves to how many there are. */
  touch(...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Seconds a key has to live: -1 without end, -2 when it does not exist. */
  ttl(key: Key): Promise<number>;
  /** `string`, `list`, `set`, `zset`, `hash`, `stream` or `none`. */
  type(key: Key): Promise<string>;
  /** {@link type} with Buffers. */
  typeBuffer(key: Key): Promise<Buffer>;
  /** Removes keys like {@link del}; their memory is freed in the background. */
  unlink(...keys: (Key | readonly Key[])[]): Promise<number>;
}
