// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply, StreamEntry } from '../command-types.js';

/** Commands of the group "streams". */
export interface StreamsCommands {
  /** Takes entries off a group's pending list; resolves to how many were on it. */
  xack(key: Key, group: RedisArgument, ...ids: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Adds an entry: `xadd(key, '*', 'field', 'value')`, `xadd(key, 'MAXLEN', '~', 1000, '*', …)`; resolves to its id, with `NOMKSTREAM` to `null` where there is no stream. */
  xadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<string | null>;
  /** {@link xadd} with Buffers. */
  xaddBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer | null>;
  /** Takes over entries that others leave pending: `[next start, entries, ids that are gone]`. */
  xautoclaim(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link xautoclaim} with Buffers. */
  xautoclaimBuffer(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Takes over these entries. */
  xclaim(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry[]>;
  /** {@link xclaim} with Buffers. */
  xclaimBuffer(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry<Buffer>[]>;
  /** Removes entries; resolves to how many there were. */
  xdel(key: Key, ...ids: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Consumer groups: `xgroup('CREATE', key, group, '$', 'MKSTREAM')`, `SETID`, `DESTROY`, `CREATECONSUMER`, `DELCONSUMER`. */
  xgroup(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link xgroup} with Buffers. */
  xgroupBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** What is known of a stream: `xinfo('STREAM', key)`, `GROUPS`, `CONSUMERS`; names and values in turn. */
  xinfo(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link xinfo} with Buffers. */
  xinfoBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** How many entries there are. */
  xlen(key: Key): Promise<number>;
  /** What is pending in a group; with `start, end, count` entry by entry. */
  xpending(
    key: Key,
    group: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link xpending} with Buffers. */
  xpendingBuffer(
    key: Key,
    group: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Entries from `start` to `end` (`'-'`, `'+'`), oldest first; `'COUNT', 10`. */
  xrange(
    key: Key,
    start: RedisArgument,
    end: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry[]>;
  /** {@link xrange} with Buffers. */
  xrangeBuffer(
    key: Key,
    start: RedisArgument,
    end: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry<Buffer>[]>;
  /** Entries after ids: `xread('COUNT', 10, 'STREAMS', 'a', 'b', '0', '$')`. With `'BLOCK', ms` it waits (0: without end) on a connection of its own. */
  xread(...args: (RedisArgument | readonly RedisArgument[])[]): Promise<[key: string, entries: StreamEntry[]][] | null>;
  /** {@link xread} with Buffers. */
  xreadBuffer(
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: Buffer, entries: StreamEntry<Buffer>[]][] | null>;
  /** Entries for a consumer: `xreadgroup('GROUP', group, consumer, 'COUNT', 10, 'STREAMS', key, '>')`. With `'BLOCK', ms` it waits (0: without end) on a connection of its own. */
  xreadgroup(
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: string, entries: StreamEntry[]][] | null>;
  /** {@link xreadgroup} with Buffers. */
  xreadgroupBuffer(
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[key: Buffer, entries: StreamEntry<Buffer>[]][] | null>;
  /** {@link xrange}, newest first. */
  xrevrange(
    key: Key,
    end: RedisArgument,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry[]>;
  /** {@link xrevrange} with Buffers. */
  xrevrangeBuffer(
    key: Key,
    end: RedisArgument,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<StreamEntry<Buffer>[]>;
  /** Sets a stream's last id. */
  xsetid(key: Key, lastId: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): Promise<'OK'>;
  /** Cuts a stream: `xtrim(key, 'MAXLEN', '~', 1000)`; resolves to how many entries went. */
  xtrim(key: Key, strategy: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
}
