// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument, RedisBufferReply, RedisReply } from '../command-types.js';

/** Commands of the group "geo". */
export interface GeoCommands {
  /** Adds places: `geoadd(key, longitude, latitude, member)`; resolves to how many are new. */
  geoadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /** Distance of two members, in `m`, `km`, `ft` or `mi`. */
  geodist(key: Key, member1: RedisArgument, member2: RedisArgument, unit?: string): Promise<string | null>;
  /** {@link geodist} with Buffers. */
  geodistBuffer(key: Key, member1: RedisArgument, member2: RedisArgument, unit?: string): Promise<Buffer | null>;
  /** Geohashes of members. */
  geohash(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<(string | null)[]>;
  /** {@link geohash} with Buffers. */
  geohashBuffer(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): Promise<(Buffer | null)[]>;
  /** Longitude and latitude of members, `null` for those that are not there. */
  geopos(
    key: Key,
    ...members: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<([longitude: string, latitude: string] | null)[]>;
  /** {@link geopos} with Buffers. */
  geoposBuffer(
    key: Key,
    ...members: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<([longitude: Buffer, latitude: Buffer] | null)[]>;
  /** Members near a place; {@link geosearch} is the newer form. */
  georadius(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link georadius} with Buffers. */
  georadiusBuffer(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** The same without `STORE`. */
  georadius_ro(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link georadius_ro} with Buffers. */
  georadius_roBuffer(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Members near a member; {@link geosearch} is the newer form. */
  georadiusbymember(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link georadiusbymember} with Buffers. */
  georadiusbymemberBuffer(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** The same without `STORE`. */
  georadiusbymember_ro(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisReply>;
  /** {@link georadiusbymember_ro} with Buffers. */
  georadiusbymember_roBuffer(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): Promise<RedisBufferReply>;
  /** Members in a circle or box: `geosearch(key, 'FROMLONLAT', 13.4, 52.5, 'BYRADIUS', 10, 'km', 'ASC', 'WITHDIST')`. */
  geosearch(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply>;
  /** {@link geosearch} with Buffers. */
  geosearchBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply>;
  /** Stores them; resolves to their number. */
  geosearchstore(destination: Key, source: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
}
