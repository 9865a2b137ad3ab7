// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "lists". */
export interface ListsCommands {
  /** {@link lmove} that waits up to `timeout` seconds (0: without end) for an element. */
  blmove(
    source: Key,
    destination: Key,
    from: string,
    to: string,
    timeout: number | bigint | string,
  ): Promise<string | null>;
  /** {@link blmove} with Buffers. */
  blmoveBuffer(
    source: Key,
    destination: Key,
    from: string,
    to: string,
    timeout: number | bigint | string,
  ): Promise<Buffer | null>;
  /** {@link lmpop} that waits up to `timeout` seconds (0: without end). */
  blmpop(
    timeout: number | bigint | string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: string, elements: string[]] | null>;
  /** {@link blmpop} with Buffers. */
  blmpopBuffer(
    timeout: number | bigint | string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: Buffer, elements: Buffer[]] | null>;
  /** Takes the first element of the first list that has one, waiting up to `timeout` seconds (0: without end); `null` when there was none. */
  blpop(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: string, element: string] | null>;
  /** {@link blpop} with Buffers. */
  blpopBuffer(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: Buffer, element: Buffer] | null>;
  /** The same with the last element. */
  brpop(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: string, element: string] | null>;
  /** {@link brpop} with Buffers. */
  brpopBuffer(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: Buffer, element: Buffer] | null>;
  /** {@link rpoplpush} that waits up to `timeout` seconds (0: without end). */
  brpoplpush(source: Key, destination: Key, timeout: number | bigint | string): Promise<string | null>;
  /** {@link brpoplpush} with Buffers. */
  brpoplpushBuffer(source: Key, destination: Key, timeout: number | bigint | string): Promise<Buffer | null>;
  /** The element at a place; negative ones count from the end. */
  lindex(key: Key, index: number | bigint): Promise<string | null>;
  /** {@link lindex} with Buffers. */
  lindexBuffer(key: Key, index: number | bigint): Promise<Buffer | null>;
  /** Inserts `'BEFORE'` or `'AFTER'` an element; resolves to the length, -1 without the element. */
  linsert(key: Key, where: string, pivot: RedisArgument, value: RedisArgument): Promise<number>;
  /** Length of a list. */
  llen(key: Key): Promise<number>;
  /** Moves an element from the `'LEFT'` or `'RIGHT'` end of a list to an end of another. */
  lmove(source: Key, destination: Key, from: string, to: string): Promise<string | null>;
  /** {@link lmove} with Buffers. */
  lmoveBuffer(source: Key, destination: Key, from: string, to: string): Promise<Buffer | null>;
  /** Takes elements of the first list that has some: `lmpop(2, 'a', 'b', 'LEFT', 'COUNT', 5)`. */
  lmpop(
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: string, elements: string[]] | null>;
  /** {@link lmpop} with Buffers. */
  lmpopBuffer(
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: Buffer, elements: Buffer[]] | null>;
  /** Takes the first element, `null` when there is none. */
  lpop(key: Key): Promise<string | null>;
  /** Takes up to `count` first elements. */
  lpop(key: Key, count: number | bigint): Promise<string[] | null>;
  /** {@link lpop} with Buffers. */
  lpopBuffer(key: Key): Promise<Buffer | null>;
  /** {@link lpop} with Buffers. */
  lpopBuffer(key: Key, count: number | bigint): Promise<Buffer[] | null>;
  /** Where an element is first, `null` when it is not there. */
  lpos(key: Key, element: RedisArgument): Promise<number | null>;
  /** With `'RANK', n` another one, with `'COUNT', n` a list of places. */
  lpos(key: Key, element: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link lpos} with Buffers. */
  lposBuffer(
    key: Key,
    element: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Puts elements in front, one after the other; resolves to the length. */
  lpush(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** The same, where the list exists. */
  lpushx(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Elements `start` to `stop`, both included; negative ones count from the end. */
  lrange(key: Key, start: number | bigint, stop: number | bigint): Promise<string[]>;
  /** {@link lrange} with Buffers. */
  lrangeBuffer(key: Key, start: number | bigint, stop: number | bigint): Promise<Buffer[]>;
  /** Removes up to `count` elements that are equal (0: all; negative: from the end). */
  lrem(key: Key, count: number | bigint, element: RedisArgument): Promise<number>;
  /** Overwrites the element at a place. */
  lset(key: Key, index: number | bigint, element: RedisArgument): Promise<'OK'>;
  /** Keeps elements `start` to `stop`, and removes the others. */
  ltrim(key: Key, start: number | bigint, stop: number | bigint): Promise<'OK'>;
  ltrim(key: Key, start: number | bigint, stop: number | bigint): Promise<void>;
  /** Takes the last element, `null` when there is none. */
  rpop(key: Key): Promise<string | null>;
  /** Takes up to `count` last elements. */
  rpop(key: Key, count: number | bigint): Promise<string[] | null>;
  /** {@link rpop} with Buffers. */
  rpopBuffer(key: Key): Promise<Buffer | null>;
  /** {@link rpop} with Buffers. */
  rpopBuffer(key: Key, count: number | bigint): Promise<Buffer[] | null>;
  /** Moves the last element of a list to the front of another. */
  rpoplpush(source: Key, destination: Key): Promise<string | null>;
  /** {@link rpoplpush} with Buffers. */
  rpoplpushBuffer(source: Key, destination: Key): Promise<Buffer | null>;
  /** Puts elements at the end; resolves to the length. */
  rpush(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** The same, where the list exists. */
  rpushx(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
}
