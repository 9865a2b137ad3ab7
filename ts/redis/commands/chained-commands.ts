// Made by scripts/redis-commands.mjs of ts/redis/commands.txt: change that, not this.

import type { Key, RedisArgument } from '../command-types.js';

/** The commands of `RedisService`, collected instead of sent; none that waits on the server. */
export interface ChainedCommands {
  append(key: Key, value: RedisArgument): this;
  decr(key: Key): this;
  decrby(key: Key, decrement: number | bigint): this;
  getdel(key: Key): this;
  getdelBuffer(key: Key): this;
  getex(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  getexBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  getrange(key: Key, start: number | bigint, end: number | bigint): this;
  getrangeBuffer(key: Key, start: number | bigint, end: number | bigint): this;
  getset(key: Key, value: RedisArgument): this;
  getsetBuffer(key: Key, value: RedisArgument): this;
  incr(key: Key): this;
  incrby(key: Key, increment: number | bigint): this;
  incrbyfloat(key: Key, increment: number | bigint | string): this;
  incrbyfloatBuffer(key: Key, increment: number | bigint | string): this;
  lcs(key1: Key, key2: Key): this;
  lcs(key1: Key, key2: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  lcsBuffer(key1: Key, key2: Key): this;
  lcsBuffer(key1: Key, key2: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  mget(...keys: (Key | readonly Key[])[]): this;
  mgetBuffer(...keys: (Key | readonly Key[])[]): this;
  mset(...entries: (RedisArgument | readonly RedisArgument[])[]): this;
  mset(entries: object): this;
  msetnx(...entries: (RedisArgument | readonly RedisArgument[])[]): this;
  msetnx(entries: object): this;
  psetex(key: Key, milliseconds: number | bigint, value: RedisArgument): this;
  setex(key: Key, seconds: number | bigint, value: RedisArgument): this;
  setnx(key: Key, value: RedisArgument): this;
  setrange(key: Key, offset: number | bigint, value: RedisArgument): this;
  strlen(key: Key): this;
  substr(key: Key, start: number | bigint, end: number | bigint): this;
  substrBuffer(key: Key, start: number | bigint, end: number | bigint): this;
  copy(source: Key, destination: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  del(...keys: (Key | readonly Key[])[]): this;
  dump(key: Key): this;
  dumpBuffer(key: Key): this;
  exists(...keys: (Key | readonly Key[])[]): this;
  expire(key: Key, seconds: number | bigint, condition?: string): this;
  expireat(key: Key, unixSeconds: number | bigint, condition?: string): this;
  expiretime(key: Key): this;
  move(key: Key, db: number | bigint): this;
  object(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  objectBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  persist(key: Key): this;
  pexpire(key: Key, milliseconds: number | bigint, condition?: string): this;
  pexpireat(key: Key, unixMilliseconds: number | bigint, condition?: string): this;
  pexpiretime(key: Key): this;
  pttl(key: Key): this;
  rename(source: Key, destination: Key): this;
  renamenx(source: Key, destination: Key): this;
  restore(
    key: Key,
    ttlMs: number | bigint,
    value: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  scan(cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  scanBuffer(cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sort(key: Key): this;
  sort(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sortBuffer(key: Key): this;
  sortBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sort_ro(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sort_roBuffer(key: Key, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  touch(...keys: (Key | readonly Key[])[]): this;
  ttl(key: Key): this;
  type(key: Key): this;
  typeBuffer(key: Key): this;
  unlink(...keys: (Key | readonly Key[])[]): this;
  hdel(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): this;
  hexists(key: Key, field: RedisArgument): this;
  hexpire(key: Key, seconds: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hexpireat(key: Key, unixSeconds: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hexpiretime(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hget(key: Key, field: RedisArgument): this;
  hgetBuffer(key: Key, field: RedisArgument): this;
  hgetall(key: Key): this;
  hgetallBuffer(key: Key): this;
  hgetdel(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hgetdelBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hgetex(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hgetexBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hincrby(key: Key, field: RedisArgument, increment: number | bigint): this;
  hincrbyfloat(key: Key, field: RedisArgument, increment: number | bigint | string): this;
  hincrbyfloatBuffer(key: Key, field: RedisArgument, increment: number | bigint | string): this;
  hkeys(key: Key): this;
  hkeysBuffer(key: Key): this;
  hlen(key: Key): this;
  hmget(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): this;
  hmgetBuffer(key: Key, ...fields: (RedisArgument | readonly RedisArgument[])[]): this;
  hmset(key: Key, ...entries: (RedisArgument | readonly RedisArgument[])[]): this;
  hmset(key: Key, entries: object): this;
  hpersist(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hpexpire(key: Key, milliseconds: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hpexpireat(key: Key, unixMilliseconds: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hpexpiretime(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hpttl(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hrandfield(key: Key): this;
  hrandfield(
    key: Key,
    count: number | bigint,
    withValues?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  hrandfieldBuffer(key: Key): this;
  hrandfieldBuffer(
    key: Key,
    count: number | bigint,
    withValues?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  hscan(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  hscanBuffer(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  hset(key: Key, ...entries: (RedisArgument | readonly RedisArgument[])[]): this;
  hset(key: Key, entries: object): this;
  hsetex(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hsetnx(key: Key, field: RedisArgument, value: RedisArgument): this;
  hstrlen(key: Key, field: RedisArgument): this;
  httl(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  hvals(key: Key): this;
  hvalsBuffer(key: Key): this;
  lindex(key: Key, index: number | bigint): this;
  lindexBuffer(key: Key, index: number | bigint): this;
  linsert(key: Key, where: string, pivot: RedisArgument, value: RedisArgument): this;
  llen(key: Key): this;
  lmove(source: Key, destination: Key, from: string, to: string): this;
  lmoveBuffer(source: Key, destination: Key, from: string, to: string): this;
  lmpop(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  lmpopBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  lpop(key: Key): this;
  lpop(key: Key, count: number | bigint): this;
  lpopBuffer(key: Key): this;
  lpopBuffer(key: Key, count: number | bigint): this;
  lpos(key: Key, element: RedisArgument): this;
  lpos(key: Key, element: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  lposBuffer(key: Key, element: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  lpush(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): this;
  lpushx(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): this;
  lrange(key: Key, start: number | bigint, stop: number | bigint): this;
  lrangeBuffer(key: Key, start: number | bigint, stop: number | bigint): this;
  lrem(key: Key, count: number | bigint, element: RedisArgument): this;
  lset(key: Key, index: number | bigint, element: RedisArgument): this;
  ltrim(key: Key, start: number | bigint, stop: number | bigint): this;
  rpop(key: Key): this;
  rpop(key: Key, count: number | bigint): this;
  rpopBuffer(key: Key): this;
  rpopBuffer(key: Key, count: number | bigint): this;
  rpoplpush(source: Key, destination: Key): this;
  rpoplpushBuffer(source: Key, destination: Key): this;
  rpush(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): this;
  rpushx(key: Key, ...values: (RedisArgument | readonly RedisArgument[])[]): this;
  sadd(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  scard(key: Key): this;
  sdiff(...keys: (Key | readonly Key[])[]): this;
  sdiffBuffer(...keys: (Key | readonly Key[])[]): this;
  sdiffstore(destination: Key, ...keys: (Key | readonly Key[])[]): this;
  sinter(...keys: (Key | readonly Key[])[]): this;
  sinterBuffer(...keys: (Key | readonly Key[])[]): this;
  sintercard(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  sinterstore(destination: Key, ...keys: (Key | readonly Key[])[]): this;
  sismember(key: Key, member: RedisArgument): this;
  smembers(key: Key): this;
  smembersBuffer(key: Key): this;
  smismember(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  smove(source: Key, destination: Key, member: RedisArgument): this;
  spop(key: Key): this;
  spop(key: Key, count: number | bigint): this;
  spopBuffer(key: Key): this;
  spopBuffer(key: Key, count: number | bigint): this;
  srandmember(key: Key): this;
  srandmember(key: Key, count: number | bigint): this;
  srandmemberBuffer(key: Key): this;
  srandmemberBuffer(key: Key, count: number | bigint): this;
  srem(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  sscan(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sscanBuffer(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  sunion(...keys: (Key | readonly Key[])[]): this;
  sunionBuffer(...keys: (Key | readonly Key[])[]): this;
  sunionstore(destination: Key, ...keys: (Key | readonly Key[])[]): this;
  zadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zcard(key: Key): this;
  zcount(key: Key, min: RedisArgument, max: RedisArgument): this;
  zdiff(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zdiffBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zdiffstore(destination: Key, numkeys: number | bigint, ...keys: (Key | readonly Key[])[]): this;
  zincrby(key: Key, increment: number | bigint | string, member: RedisArgument): this;
  zinter(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zinterBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zintercard(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zinterstore(destination: Key, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zlexcount(key: Key, min: RedisArgument, max: RedisArgument): this;
  zmpop(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zmpopBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zmscore(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  zpopmax(key: Key, count?: number | bigint): this;
  zpopmaxBuffer(key: Key, count?: number | bigint): this;
  zpopmin(key: Key, count?: number | bigint): this;
  zpopminBuffer(key: Key, count?: number | bigint): this;
  zrandmember(key: Key): this;
  zrandmember(
    key: Key,
    count: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrandmemberBuffer(key: Key): this;
  zrandmemberBuffer(
    key: Key,
    count: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrange(
    key: Key,
    start: RedisArgument,
    stop: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangeBuffer(
    key: Key,
    start: RedisArgument,
    stop: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangebylex(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangebylexBuffer(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangebyscore(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangebyscoreBuffer(
    key: Key,
    min: RedisArgument,
    max: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrangestore(
    destination: Key,
    source: Key,
    start: RedisArgument,
    stop: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrank(key: Key, member: RedisArgument): this;
  zrank(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrankBuffer(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrem(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  zremrangebylex(key: Key, min: RedisArgument, max: RedisArgument): this;
  zremrangebyrank(key: Key, start: number | bigint, stop: number | bigint): this;
  zremrangebyscore(key: Key, min: RedisArgument, max: RedisArgument): this;
  zrevrange(
    key: Key,
    start: number | bigint,
    stop: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrangeBuffer(
    key: Key,
    start: number | bigint,
    stop: number | bigint,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrangebylex(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrangebylexBuffer(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrangebyscore(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrangebyscoreBuffer(
    key: Key,
    max: RedisArgument,
    min: RedisArgument,
    withScores?: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrank(key: Key, member: RedisArgument): this;
  zrevrank(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zrevrankBuffer(
    key: Key,
    member: RedisArgument,
    withScore: boolean | string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  zscan(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  zscanBuffer(key: Key, cursor: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  zscore(key: Key, member: RedisArgument): this;
  zunion(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zunionBuffer(numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  zunionstore(destination: Key, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xack(key: Key, group: RedisArgument, ...ids: (RedisArgument | readonly RedisArgument[])[]): this;
  xadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xaddBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xautoclaim(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xautoclaimBuffer(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xclaim(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xclaimBuffer(
    key: Key,
    group: RedisArgument,
    consumer: RedisArgument,
    minIdleMs: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xdel(key: Key, ...ids: (RedisArgument | readonly RedisArgument[])[]): this;
  xgroup(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xgroupBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xinfo(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xinfoBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xlen(key: Key): this;
  xpending(key: Key, group: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  xpendingBuffer(key: Key, group: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  xrange(
    key: Key,
    start: RedisArgument,
    end: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xrangeBuffer(
    key: Key,
    start: RedisArgument,
    end: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xread(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xreadBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xreadgroup(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xreadgroupBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  xrevrange(
    key: Key,
    end: RedisArgument,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xrevrangeBuffer(
    key: Key,
    end: RedisArgument,
    start: RedisArgument,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  xsetid(key: Key, lastId: RedisArgument, ...options: (RedisArgument | readonly RedisArgument[])[]): this;
  xtrim(key: Key, strategy: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  bitcount(key: Key, ...range: (RedisArgument | readonly RedisArgument[])[]): this;
  bitfield(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): this;
  bitfieldBuffer(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): this;
  bitfield_ro(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): this;
  bitfield_roBuffer(key: Key, ...operations: (RedisArgument | readonly RedisArgument[])[]): this;
  bitop(operation: string, destination: Key, ...keys: (Key | readonly Key[])[]): this;
  bitpos(key: Key, bit: number | bigint, ...range: (RedisArgument | readonly RedisArgument[])[]): this;
  getbit(key: Key, offset: number | bigint): this;
  setbit(key: Key, offset: number | bigint, bit: number | bigint): this;
  geoadd(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  geodist(key: Key, member1: RedisArgument, member2: RedisArgument, unit?: string): this;
  geodistBuffer(key: Key, member1: RedisArgument, member2: RedisArgument, unit?: string): this;
  geohash(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  geohashBuffer(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  geopos(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  geoposBuffer(key: Key, ...members: (RedisArgument | readonly RedisArgument[])[]): this;
  georadius(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadiusBuffer(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadius_ro(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadius_roBuffer(
    key: Key,
    longitude: number | bigint | string,
    latitude: number | bigint | string,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadiusbymember(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadiusbymemberBuffer(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadiusbymember_ro(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  georadiusbymember_roBuffer(
    key: Key,
    member: RedisArgument,
    radius: number | bigint | string,
    unit: string,
    ...options: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  geosearch(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  geosearchBuffer(key: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  geosearchstore(destination: Key, source: Key, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  pfadd(key: Key, ...elements: (RedisArgument | readonly RedisArgument[])[]): this;
  pfcount(...keys: (Key | readonly Key[])[]): this;
  pfmerge(destination: Key, ...sources: (Key | readonly Key[])[]): this;
  eval(script: RedisArgument, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  evalBuffer(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  eval_ro(script: RedisArgument, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  eval_roBuffer(
    script: RedisArgument,
    numkeys: number | bigint,
    ...args: (RedisArgument | readonly RedisArgument[])[]
  ): this;
  evalsha(sha1: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  evalshaBuffer(sha1: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  evalsha_ro(sha1: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  evalsha_roBuffer(sha1: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  fcall(name: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  fcallBuffer(name: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  fcall_ro(name: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  fcall_roBuffer(name: string, numkeys: number | bigint, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  function(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  functionBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  script(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  scriptBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  client(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  clientBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  command(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  commandBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  config(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  configBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  dbsize(): this;
  echo(message: RedisArgument): this;
  echoBuffer(message: RedisArgument): this;
  flushall(mode?: string): this;
  flushdb(mode?: string): this;
  info(...sections: (RedisArgument | readonly RedisArgument[])[]): this;
  infoBuffer(...sections: (RedisArgument | readonly RedisArgument[])[]): this;
  lastsave(): this;
  latency(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  latencyBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  lolwut(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  lolwutBuffer(...args: (RedisArgument | readonly RedisArgument[])[]): this;
  memory(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  memoryBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  ping(message?: RedisArgument): this;
  pingBuffer(message?: RedisArgument): this;
  publish(channel: RedisArgument, message: RedisArgument): this;
  pubsub(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  pubsubBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  role(): this;
  roleBuffer(): this;
  slowlog(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  slowlogBuffer(subcommand: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this;
  time(): this;
  timeBuffer(): this;
}
