// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "scripts". */
export interface ScriptsCommands {
  /** Runs a script: its keys, then its arguments. {@link RedisService.defineScript} sends it once only. */
  eval(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link eval} with Buffers. */
  evalBuffer(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Runs a script that only reads. */
  eval_ro(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link eval_ro} with Buffers. */
  eval_roBuffer(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Runs a script that the server has; `NOSCRIPT` when it does not. */
  evalsha(
    sha1: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link evalsha} with Buffers. */
  evalshaBuffer(
    sha1: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** The same for a script that only reads. */
  evalsha_ro(
    sha1: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link evalsha_ro} with Buffers. */
  evalsha_roBuffer(
    sha1: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Runs a function of a library. */
  fcall(
    name: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link fcall} with Buffers. */
  fcallBuffer(
    name: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Runs a function that only reads. */
  fcall_ro(
    name: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link fcall_ro} with Buffers. */
  fcall_roBuffer(
    name: string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Libraries of functions: `function('LOAD', code)`, `LIST`, `DELETE`, … */
  function(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link function} with Buffers. */
  functionBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Scripts that the server has: `script('LOAD', lua)`, `EXISTS`, `FLUSH`, `KILL`. */
  script(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link script} with Buffers. */
  scriptBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
}
