// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "server". */
export interface ServerCommands {
  /** About connections: `client('LIST')`. What would change the shared connection is refused. */
  client(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link client} with Buffers. */
  clientBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** About commands. */
  command(...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link command} with Buffers. */
  commandBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Settings of the server: `config('GET', 'maxmemory')`. */
  config(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link config} with Buffers. */
  configBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** How many keys the database has, with any prefix. */
  dbsize(): Promise<number>;
  /** The message. */
  echo(message: RedisArgument): Promise<string>;
  /** {@link echo} with Buffers. */
  echoBuffer(message: RedisArgument): Promise<Buffer>;
  /** Removes ALL keys of all databases, with any prefix. */
  flushall(mode?: string): Promise<'OK'>;
  /** Removes ALL keys of the database, with any prefix. */
  flushdb(mode?: string): Promise<'OK'>;
  /** What the server says about itself. */
  info(...sections: (RedisArgument | readonly RedisArgument[])[]): Promise<string>;
  /** {@link info} with Buffers. */
  infoBuffer(...sections: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer>;
  /** When the data was last saved, in seconds since 1970. */
  lastsave(): Promise<number>;
  /** Latency of the server. */
  latency(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link latency} with Buffers. */
  latencyBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** A piece of art. */
  lolwut(...args: (RedisArgument | readonly RedisArgument[])[]): Promise<string>;
  /** {@link lolwut} with Buffers. */
  lolwutBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer>;
  /** About memory: `memory('USAGE', key)`. */
  memory(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link memory} with Buffers. */
  memoryBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** `PONG`, or the message. */
  ping(message?: RedisArgument): Promise<string>;
  /** {@link ping} with Buffers. */
  pingBuffer(message?: RedisArgument): Promise<Buffer>;
  /** Sends a message to the subscribers of a channel (no prefix is put in front); resolves to how many there are. */
  publish(channel: RedisArgument, message: RedisArgument): Promise<number>;
  /** About subscriptions. */
  pubsub(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link pubsub} with Buffers. */
  pubsubBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Master or replica. */
  role(): Promise<RedisReply>;
  /** {@link role} with Buffers. */
  roleBuffer(): Promise<RedisBufferReply>;
  /** Commands that were slow. */
  slowlog(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link slowlog} with Buffers. */
  slowlogBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** The server's time: seconds since 1970, and microseconds. */
  time(): Promise<string[]>;
  /** {@link time} with Buffers. */
  timeBuffer(): Promise<Buffer[]>;
}
