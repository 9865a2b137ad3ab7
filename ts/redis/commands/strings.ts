// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "strings". */
export interface StringsCommands {
  /** Appends to a value; resolves to its length. */
  append(key: Key, value: RedisArgument): Promise<number>;
  /** Subtracts 1 from an integer; a key that does not exist is 0. */
  decr(key: Key): Promise<number>;
  /** Subtracts from an integer. */
  decrby(key: Key, decrement: number | bigint): Promise<number>;
  /** The value of a key, which is removed. */
  getdel(key: Key): Promise<string | null>;
  /** {@link getdel} with Buffers. */
  getdelBuffer(key: Key): Promise<Buffer | null>;
  /** The value of a key, whose time to live is changed: `'EX', 10`, `'PXAT', ms`, `'PERSIST'`. */
  getex(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<string | null>;
  /** {@link getex} with Buffers. */
  getexBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer | null>;
  /** Bytes `start` to `end` of a value, both included; negative ones count from its end. */
  getrange(key: Key, start: number | bigint, end: number | bigint): Promise<string>;
  /** {@link getrange} with Buffers. */
  getrangeBuffer(key: Key, start: number | bigint, end: number | bigint): Promise<Buffer>;
  /** Writes a value; resolves to the one before. */
  getset(key: Key, value: RedisArgument): Promise<string | null>;
  /** {@link getset} with Buffers. */
  getsetBuffer(key: Key, value: RedisArgument): Promise<Buffer | null>;
  /** Adds 1 to an integer; a key that does not exist is 0. */
  incr(key: Key): Promise<number>;
  /** Adds to an integer; a key that does not exist is 0. */
  incrby(key: Key, increment: number | bigint): Promise<number>;
  /** Adds to a number; resolves to its text, with every digit. */
  incrbyfloat(key: Key, increment: number | bigint | string): Promise<string>;
  /** {@link incrbyfloat} with Buffers. */
  incrbyfloatBuffer(key: Key, increment: number | bigint | string): Promise<Buffer>;
  /** The longest common subsequence of two values. */
  lcs(key1: Key, key2: Key): Promise<string>;
  /** With `'LEN'` its length, with `'IDX'` where it is. */
  lcs(key1: Key, key2: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link lcs} with Buffers. */
  lcsBuffer(key1: Key, key2: Key): Promise<Buffer>;
  /** {@link lcs} with Buffers. */
  lcsBuffer(key1: Key, key2: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Values of keys, in their order, `null` for those that do not exist. */
  mget(...keys: (Key | readonly Key[])[]): Promise<(string | null)[]>;
  /** {@link mget} with Buffers. */
  mgetBuffer(...keys: (Key | readonly Key[])[]): Promise<(Buffer | null)[]>;
  /** Writes several keys: `mset({ a: 1, b: 2 })`, `mset('a', 1, 'b', 2)`. */
  mset(...entries: (RedisArgument | readonly RedisArgument[])[]): Promise<'OK'>;
  /** Writes several keys: `mset({ a: 1, b: 2 })`, `mset('a', 1, 'b', 2)`. */
  mset(entries: object): Promise<'OK'>;
  /** Writes several keys, unless one of them exists. */
  msetnx(...entries: (RedisArgument | readonly RedisArgument[])[]): Promise<boolean>;
  /** Writes several keys, unless one of them exists. */
  msetnx(entries: object): Promise<boolean>;
  /** Writes a value that lives so many milliseconds. */
  psetex(key: Key, milliseconds: number | bigint, value: RedisArgument): Promise<'OK'>;
  /** Writes a value that lives so many seconds. */
  setex(key: Key, seconds: number | bigint, value: RedisArgument): Promise<'OK'>;
  /** Writes a value unless the key exists; whether it did. */
  setnx(key: Key, value: RedisArgument): Promise<boolean>;
  /** Overwrites part of a value; resolves to its length. */
  setrange(key: Key, offset: number | bigint, value: RedisArgument): Promise<number>;
  /** Length of a value in bytes. */
  strlen(key: Key): Promise<number>;
  /** The old name of {@link getrange}. */
  substr(key: Key, start: number | bigint, end: number | bigint): Promise<string>;
  /** {@link substr} with Buffers. */
  substrBuffer(key: Key, start: number | bigint, end: number | bigint): Promise<Buffer>;
}
