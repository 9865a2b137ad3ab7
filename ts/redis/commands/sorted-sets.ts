// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "sorted sets". */
export interface SortedSetsCommands {
  /** {@link zmpop} that waits up to `timeout` seconds (0: without end). */
  bzmpop(
    timeout: number | bigint | string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link bzmpop} with Buffers. */
  bzmpopBuffer(
    timeout: number | bigint | string,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** {@link bzpopmin} for the highest score. */
  bzpopmax(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: string, member: string, score: string] | null>;
  /** {@link bzpopmax} with Buffers. */
  bzpopmaxBuffer(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: Buffer, member: Buffer, score: Buffer] | null>;
  /** Takes the member with the lowest score of the first set that has one, waiting up to `timeout` seconds (0: without end). */
  bzpopmin(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: string, member: string, score: string] | null>;
  /** {@link bzpopmin} with Buffers. */
  bzpopminBuffer(
    ...args: [...keys: (Key | readonly Key[])[], timeout: number | bigint | string]
  ): Promise<[key: Buffer, member: Buffer, score: Buffer] | null>;
  /** Adds members: `zadd(key, 1.5, 'a', 2, 'b')`, `zadd(key, 'GT', 'CH', 3, 'a')`; resolves to how many are new, with `INCR` to the score (`null` when a condition kept it). */
  zadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** How many members there are. */
  zcard(key: Key): Promise<number>;
  /** How many members have a score from `min` to `max`. */
  zcount(key: Key, min: RedisArgument, max: RedisArgument): Promise<number>;
  /** Members of the first set that none of the others has. */
  zdiff(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<string[]>;
  /** {@link zdiff} with Buffers. */
  zdiffBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer[]>;
  /** Stores them; resolves to their number. */
  zdiffstore(destination: Key, numkeys: number | bigint, ...keys: (Key | readonly Key[])[]): Promise<number>;
  /** Adds to a member's score; resolves to the score. */
  zincrby(key: Key, increment: number | bigint | string, member: RedisArgument): Promise<number>;
  /** Members that all sets have: `zinter(2, 'a', 'b', 'WEIGHTS', 1, 2, 'AGGREGATE', 'MAX', 'WITHSCORES')`. */
  zinter(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<string[]>;
  /** {@link zinter} with Buffers. */
  zinterBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer[]>;
  /** How many they are. */
  zintercard(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Stores them; resolves to their number. */
  zinterstore(
    destination: Key,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number>;
  /** How many members are from `min` to `max` in the order of bytes. */
  zlexcount(key: Key, min: RedisArgument, max: RedisArgument): Promise<number>;
  /** Takes members of the first set that has some: `zmpop(2, 'a', 'b', 'MIN', 'COUNT', 5)`. */
  zmpop(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link zmpop} with Buffers. */
  zmpopBuffer(
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Scores of members, `null` for those that are not there. */
  zmscore(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<(number | null)[]>;
  /** Takes the members with the highest scores: members and scores in turn. */
  zpopmax(key: Key, count?: number | bigint): Promise<string[]>;
  /** {@link zpopmax} with Buffers. */
  zpopmaxBuffer(key: Key, count?: number | bigint): Promise<Buffer[]>;
  /** Takes the members with the lowest scores: members and scores in turn. */
  zpopmin(key: Key, count?: number | bigint): Promise<string[]>;
  /** {@link zpopmin} with Buffers. */
  zpopminBuffer(key: Key, count?: number | bigint): Promise<Buffer[]>;
  /** A member at random, `null` when there is none. */
  zrandmember(key: Key): Promise<string | null>;
  /** Members at random: different ones, or with a negative count any. */
  zrandmember(
    key: Key,
    count: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrandmember} with Buffers. */
  zrandmemberBuffer(key: Key): Promise<Buffer | null>;
  /** {@link zrandmember} with Buffers. */
  zrandmemberBuffer(
    key: Key,
    count: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** Members by rank, both ends included; with `true` members and scores in turn. Further words as in the command: `'BYSCORE', 'REV', 'LIMIT', 0, 10`. */
  zrange(
    key: Key,
    start: RedisArgument,
    stop: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrange} with Buffers. */
  zrangeBuffer(
    key: Key,
    start: RedisArgument,
    stop: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** Members from `min` to `max` in the order of bytes (`'[a'`, `'(b'`, `'-'`, `'+'`). */
  zrangebylex(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrangebylex} with Buffers. */
  zrangebylexBuffer(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** Members with a score from `min` to `max` (`'(1'` leaves 1 out), lowest first. */
  zrangebyscore(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrangebyscore} with Buffers. */
  zrangebyscoreBuffer(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** Stores what {@link zrange} gives; resolves to the number. */
  zrangestore(
    destination: Key,
    source: Key,
    start: RedisArgument,
    stop: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number>;
  /** The rank of a member, from 0 for the lowest score; `null` when it is not there. */
  zrank(key: Key, member: RedisArgument): Promise<number | null>;
  /** Rank and score (Redis 7.2). */
  zrank(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link zrank} with Buffers. */
  zrankBuffer(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Removes members; resolves to how many there were. */
  zrem(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Removes members from `min` to `max` in the order of bytes. */
  zremrangebylex(key: Key, min: RedisArgument, max: RedisArgument): Promise<number>;
  /** Removes members by rank. */
  zremrangebyrank(key: Key, start: number | bigint, stop: number | bigint): Promise<number>;
  /** Removes members by score. */
  zremrangebyscore(key: Key, min: RedisArgument, max: RedisArgument): Promise<number>;
  /** {@link zrange} from the highest score. */
  zrevrange(
    key: Key,
    start: number | bigint,
    stop: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrevrange} with Buffers. */
  zrevrangeBuffer(
    key: Key,
    start: number | bigint,
    stop: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** {@link zrangebylex} from the end. */
  zrevrangebylex(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrevrangebylex} with Buffers. */
  zrevrangebylexBuffer(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** {@link zrangebyscore}, highest first. */
  zrevrangebyscore(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<string[]>;
  /** {@link zrevrangebyscore} with Buffers. */
  zrevrangebyscoreBuffer(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<Buffer[]>;
  /** The rank of a member, from 0 for the highest score; `null` when it is not there. */
  zrevrank(key: Key, member: RedisArgument): Promise<number | null>;
  /** Rank and score (Redis 7.2). */
  zrevrank(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link zrevrank} with Buffers. */
  zrevrankBuffer(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** One step through all members and scores. */
  zscan(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: string, elements: string[]]>;
  /** {@link zscan} with Buffers. */
  zscanBuffer(
    key: Key,
    cursor: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<[cursor: Buffer, elements: Buffer[]]>;
  /** The score of a member, `null` when it is not there. */
  zscore(key: Key, member: RedisArgument): Promise<number | null>;
  /** Members that one of the sets has. */
  zunion(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<string[]>;
  /** {@link zunion} with Buffers. */
  zunionBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<Buffer[]>;
  /** Stores them; resolves to their number. */
  zunionstore(
    destination: Key,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<number>;
}
