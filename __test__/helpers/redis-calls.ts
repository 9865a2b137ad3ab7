// Calls of the methods of RedisService with random arguments, and the same commands as words. Keys are few, so that
// commands meet what others wrote; now and then a key has another type than the command wants.

/** A small generator of numbers that a seed repeats. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** From 0 to `end`, without it. */
  below(end: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % end;
  }

  chance(one: number): boolean {
    return this.below(one) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** One to `most` of them. */
  some<T>(make: () => T, most = 3): T[] {
    return Array.from({ length: 1 + this.below(most) }, make);
  }
}

/** A call: what the method is given, and the words of the command where they are not the same. */
export interface Call {
  given: unknown[];
  words?: unknown[];
}

type Make = (random: Random) => unknown[] | Call;

const KEYS = {
  s: ['s1', 's2', 'n1', 'none'],
  h: ['h1', 'h2', 'none'],
  l: ['l1', 'l2', 'none'],
  t: ['t1', 't2', 't3', 'none'],
  z: ['z1', 'z2', 'none'],
  x: ['x1', 'x2', 'none'],
  g: ['g1', 'none'],
  p: ['p1', 'p2', 'none'],
} as const;

/** What is there before a round: commands as words. */
export const SEED: unknown[][] = [
  ['MSET', 's1', 'hello wörld', 's2', 'yellow', 'n1', '41'],
  ['HSET', 'h1', 'a', '1', 'b', 'zwei', 'n', '5', '__proto__', 'x'],
  ['HSET', 'h2', 'f', '1.5'],
  ['RPUSH', 'l1', 'a', 'b', 'c', 'b', '3'],
  ['RPUSH', 'l2', '3', '1', '2'],
  ['SADD', 't1', '1', '2', '3'],
  ['SADD', 't2', '2', '3', '4'],
  ['SADD', 't3', '7'],
  // One each, so that one at random is that one.
  ['SADD', 't9', 'only'],
  ['ZADD', 'z9', '1', 'only'],
  ['HSET', 'h9', 'only', '1'],
  ['SET', 'fixed', 'hello'],
  // The order of bytes is one of members with the same score.
  ['ZADD', 'q1', '0', 'a', '0', 'b', '0', 'c', '0', 'd'],
  ['ZADD', 'z1', '1', 'a', '2.5', 'b', '2.5', 'c', 'inf', 'd'],
  ['ZADD', 'z2', '3', 'b', '-1', 'e'],
  ['XADD', 'x1', '1-1', 'f', 'v'],
  ['XADD', 'x1', '2-1', 'g', 'w', 'h', 'ü'],
  ['XGROUP', 'CREATE', 'x1', 'group', '0'],
  ['XREADGROUP', 'GROUP', 'group', 'alice', 'COUNT', '1', 'STREAMS', 'x1', '>'],
  ['GEOADD', 'g1', '13.4', '52.5', 'berlin', '2.35', '48.85', 'paris'],
  ['PFADD', 'p1', 'a', 'b'],
  ['PFADD', 'p2', 'c'],
];

/** A dump of the text `hello`, as servers from 7.0 on read it. */
export const DUMPED = { value: Buffer.alloc(0) };

const anyKey = (r: Random) => r.of(Object.values(KEYS).flat());
const key = (r: Random, kind: keyof typeof KEYS) => (r.chance(12) ? anyKey(r) : r.of(KEYS[kind]));
const value = (r: Random): unknown =>
  r.of<unknown>(['a', 'b', 'x y', 'grüße 🎉', '', 7, -3.5, 12n, Buffer.from([0, 255, 10]), '41']);
const field = (r: Random) => r.of(['a', 'b', 'n', 'f', 'new', '__proto__']);
const member = (r: Random) => r.of(['a', 'b', 'c', 'd', 'e', '1', '2', '3', '7']);
const int = (r: Random) => r.of([0, 1, 2, 5, -1, -2, 100]);
const count = (r: Random) => r.of([1, 2, 3, 10]);
const score = (r: Random) => r.of<unknown>([1, 2.5, -1, '3', 'inf', '-inf', 1e21, 0.25]);
const bound = (r: Random) => r.of<unknown>([1, 2, '(1', '(2.5', '-inf', '+inf', 0]);
const lex = (r: Random) => r.of(['-', '+', '[a', '(b', '[c']);
const id = (r: Random) => r.of(['1-1', '2-1', '3-1', '0', '5-0', '$$']);
const future = () => Math.floor(Date.now() / 1000) + 1000;
const maybe = (r: Random, ...words: unknown[]) => (r.chance(3) ? words : []);
const short = 0.02;

/** One list, or each alone: methods take both. */
function spread(r: Random, head: unknown[], items: unknown[], tail: unknown[] = []): Call {
  return {
    given: r.chance(2) ? [...head, items, ...tail] : [...head, ...items, ...tail],
    words: [...head, ...items, ...tail],
  };
}

/** An object, a Map, or names and values in turn. */
function pairs(r: Random, head: unknown[], names: string[]): Call {
  const entries = [...new Set(names)].map((name) => [name, r.of(['1', 'zwei', 3])] as const);
  const flat = entries.flat();
  const plain = entries.every(([name]) => name !== '__proto__');
  const given =
    r.of([0, 1, 2]) === 0 && plain ? Object.fromEntries(entries) : r.chance(2) ? new Map(entries) : undefined;
  return { given: given === undefined ? [...head, ...flat] : [...head, given], words: [...head, ...flat] };
}

/** A boolean in place of the word. */
function flag(r: Random, head: unknown[], word: string): Call {
  switch (r.below(4)) {
    case 0:
      return { given: head, words: head };
    case 1:
      return { given: [...head, true], words: [...head, word] };
    case 2:
      return { given: [...head, false], words: head };
    default:
      return { given: [...head, word], words: [...head, word] };
  }
}

const one =
  (kind: keyof typeof KEYS): Make =>
  (r) => [key(r, kind)];
const lifetime =
  (time: () => number): Make =>
  (r) => [anyKey(r), time(), ...maybe(r, r.of(['NX', 'XX', 'GT', 'LT']))];
const ranked: Make = (r) => flag(r, [key(r, 'z'), int(r), int(r)], 'WITHSCORES');
const scored: Make = (r) => flag(r, [key(r, 'z'), bound(r), bound(r)], 'WITHSCORES');
const keysOf =
  (kind: keyof typeof KEYS, head: (r: Random) => unknown[] = () => []): Make =>
  (r) =>
    spread(
      r,
      head(r),
      r.some(() => key(r, kind)),
    );
const counted = (r: Random, kind: keyof typeof KEYS, ...tail: unknown[]) => {
  const keys = r.some(() => key(r, kind));
  return [keys.length, ...keys, ...tail];
};
const fieldsOf = (r: Random) => ['FIELDS', 1, field(r)];
const near = (r: Random) => [r.of([10, 1000]), r.of(['km', 'm']), ...maybe(r, 'WITHDIST'), ...maybe(r, 'COUNT', 1)];

/** How each method is called. Every row of the table of commands needs one. */
export const CALLS: Record<string, Make> = {
  get: one('s'),
  set: (r) => {
    const head = [key(r, 's'), value(r)];
    return r.of<Call>([
      { given: head, words: head },
      { given: [...head, 100], words: [...head, 'EX', 100] },
      { given: [...head, { px: 50_000, nx: true }], words: [...head, 'PX', 50_000, 'NX'] },
      { given: [...head, { keepTtl: true, xx: true }], words: [...head, 'KEEPTTL', 'XX'] },
      { given: [...head, 'EX', 9, 'GET'], words: [...head, 'EX', 9, 'GET'] },
      { given: [head[0], { a: [1, 'ü'] }], words: [head[0], '{"a":[1,"ü"]}'] },
    ]);
  },
  append: (r) => [key(r, 's'), value(r)],
  decr: one('s'),
  decrby: (r) => [key(r, 's'), int(r)],
  getdel: one('s'),
  getex: (r) => [key(r, 's'), ...r.of([[], ['EX', 100], ['PERSIST'], ['PXAT', Date.now() + 90_000], ['EX', 0]])],
  getrange: (r) => [key(r, 's'), int(r), int(r)],
  getset: (r) => [key(r, 's'), value(r)],
  incr: one('s'),
  incrby: (r) => [key(r, 's'), r.of<unknown>([1, -5, 12_345_678_901n, '12'])],
  incrbyfloat: (r) => [key(r, 's'), r.of<unknown>([0.5, -2, '3.0e2'])],
  lcs: (r) => [key(r, 's'), key(r, 's'), ...r.of([[], ['LEN'], ['IDX'], ['IDX', 'MINMATCHLEN', 2, 'WITHMATCHLEN']])],
  mget: keysOf('s'),
  mset: (r) =>
    pairs(
      r,
      [],
      r.some(() => key(r, 's')),
    ),
  msetnx: (r) =>
    pairs(
      r,
      [],
      r.some(() => r.of(['s1', 'fresh1', 'fresh2'])),
    ),
  psetex: (r) => [key(r, 's'), r.of([50_000, 0]), value(r)],
  setex: (r) => [key(r, 's'), r.of([50, 0, -1]), value(r)],
  setnx: (r) => [key(r, 's'), value(r)],
  setrange: (r) => [key(r, 's'), r.of([0, 3, 10, -1]), value(r)],
  strlen: one('s'),
  substr: (r) => [key(r, 's'), int(r), int(r)],

  keys: (r) => [r.of(['*', 's*', '[lt]?', 'none', 'no such'])],
  randomkey: () => [],
  copy: (r) => [anyKey(r), anyKey(r), ...maybe(r, 'REPLACE')],
  del: (r) =>
    spread(
      r,
      [],
      r.some(() => anyKey(r)),
    ),
  dump: (r) => [r.of(['fixed', 'none'])],
  exists: (r) =>
    spread(
      r,
      [],
      r.some(() => anyKey(r)),
    ),
  expire: lifetime(() => 1000),
  expireat: lifetime(future),
  expiretime: (r) => [anyKey(r)],
  move: (r) => {
    const moved = anyKey(r);
    return { given: [moved, 2], words: [moved, 3] };
  },
  object: (r) => r.of([['ENCODING', anyKey(r)], ['REFCOUNT', anyKey(r)], ['FREQ', 's1'], ['NOSUCH', 's1'], ['HELP']]),
  persist: (r) => [anyKey(r)],
  pexpire: lifetime(() => 500_000),
  pexpireat: lifetime(() => future() * 1000),
  pexpiretime: (r) => [anyKey(r)],
  pttl: (r) => [anyKey(r)],
  rename: (r) => [anyKey(r), anyKey(r)],
  renamenx: (r) => [anyKey(r), anyKey(r)],
  restore: (r) => [key(r, 's'), r.of([0, 90_000]), r.chance(4) ? 'broken' : DUMPED.value, ...maybe(r, 'REPLACE')],
  scan: (r) => [
    0,
    ...r.of([
      ['COUNT', 1000],
      ['MATCH', 's*', 'COUNT', 1000],
      ['TYPE', 'hash', 'COUNT', 1000],
    ]),
  ],
  sort: (r) => [
    key(r, r.of(['l', 't', 'z'])),
    ...r.of([[], ['ALPHA', 'DESC'], ['BY', 's*'], ['LIMIT', 0, 2, 'ALPHA'], ['BY', 'nosort', 'GET', '#', 'GET', 'n*']]),
    ...maybe(r, 'STORE', 'sorted'),
  ],
  sort_ro: (r) => [key(r, 'l'), ...r.of([[], ['ALPHA'], ['GET', 's*']])],
  touch: (r) =>
    spread(
      r,
      [],
      r.some(() => anyKey(r)),
    ),
  ttl: (r) => [anyKey(r)],
  type: (r) => [anyKey(r)],
  unlink: (r) =>
    spread(
      r,
      [],
      r.some(() => anyKey(r)),
    ),

  hdel: (r) =>
    spread(
      r,
      [key(r, 'h')],
      r.some(() => field(r)),
    ),
  hexists: (r) => [key(r, 'h'), field(r)],
  hexpire: (r) => [key(r, 'h'), 100, ...fieldsOf(r)],
  hexpireat: (r) => [key(r, 'h'), future(), ...fieldsOf(r)],
  hexpiretime: (r) => [key(r, 'h'), ...fieldsOf(r)],
  hget: (r) => [key(r, 'h'), field(r)],
  hgetall: one('h'),
  hgetdel: (r) => [key(r, 'h'), ...fieldsOf(r)],
  hgetex: (r) => [key(r, 'h'), 'EX', 100, ...fieldsOf(r)],
  hincrby: (r) => [key(r, 'h'), field(r), int(r)],
  hincrbyfloat: (r) => [key(r, 'h'), field(r), r.of<unknown>([0.25, -1, '1e3'])],
  hkeys: one('h'),
  hlen: one('h'),
  hmget: (r) =>
    spread(
      r,
      [key(r, 'h')],
      r.some(() => field(r)),
    ),
  hmset: (r) =>
    pairs(
      r,
      [key(r, 'h')],
      r.some(() => field(r)),
    ),
  hpersist: (r) => [key(r, 'h'), ...fieldsOf(r)],
  hpexpire: (r) => [key(r, 'h'), 100_000, ...fieldsOf(r)],
  hpexpireat: (r) => [key(r, 'h'), future() * 1000, ...fieldsOf(r)],
  hpexpiretime: (r) => [key(r, 'h'), ...fieldsOf(r)],
  hpttl: (r) => [key(r, 'h'), ...fieldsOf(r)],
  // All of them: one at random would be another one there.
  hrandfield: (r) => (r.chance(3) ? ['h9'] : flag(r, [key(r, 'h'), 100], 'WITHVALUES')),
  hscan: (r) => [key(r, 'h'), 0, ...maybe(r, 'COUNT', 1000)],
  hset: (r) =>
    pairs(
      r,
      [key(r, 'h')],
      r.some(() => field(r)),
    ),
  hsetex: (r) => [key(r, 'h'), 'EX', 100, ...fieldsOf(r), value(r)],
  hsetnx: (r) => [key(r, 'h'), field(r), value(r)],
  hstrlen: (r) => [key(r, 'h'), field(r)],
  httl: (r) => [key(r, 'h'), ...fieldsOf(r)],
  hvals: one('h'),

  blmove: (r) => [key(r, 'l'), key(r, 'l'), r.of(['LEFT', 'RIGHT']), r.of(['LEFT', 'RIGHT']), short],
  blmpop: (r) => [short, ...counted(r, 'l', r.of(['LEFT', 'RIGHT']), ...maybe(r, 'COUNT', 2))],
  blpop: (r) =>
    spread(
      r,
      [],
      r.some(() => key(r, 'l')),
      [r.chance(8) ? -1 : short],
    ),
  brpop: (r) =>
    spread(
      r,
      [],
      r.some(() => key(r, 'l')),
      [short],
    ),
  brpoplpush: (r) => [key(r, 'l'), key(r, 'l'), short],
  lindex: (r) => [key(r, 'l'), int(r)],
  linsert: (r) => [key(r, 'l'), r.of(['BEFORE', 'AFTER', 'BESIDE']), member(r), value(r)],
  llen: one('l'),
  lmove: (r) => [key(r, 'l'), key(r, 'l'), r.of(['LEFT', 'RIGHT']), r.of(['LEFT', 'RIGHT'])],
  lmpop: (r) => counted(r, 'l', r.of(['LEFT', 'RIGHT']), ...maybe(r, 'COUNT', 2)),
  lpop: (r) => [key(r, 'l'), ...maybe(r, count(r))],
  lpos: (r) => [key(r, 'l'), member(r), ...r.of([[], ['RANK', -1], ['COUNT', 0]])],
  lpush: (r) =>
    spread(
      r,
      [key(r, 'l')],
      r.some(() => value(r)),
    ),
  lpushx: (r) =>
    spread(
      r,
      [key(r, 'l')],
      r.some(() => value(r)),
    ),
  lrange: (r) => [key(r, 'l'), int(r), int(r)],
  lrem: (r) => [key(r, 'l'), int(r), member(r)],
  lset: (r) => [key(r, 'l'), int(r), value(r)],
  ltrim: (r) => [key(r, 'l'), int(r), int(r)],
  rpop: (r) => [key(r, 'l'), ...maybe(r, count(r))],
  rpoplpush: (r) => [key(r, 'l'), key(r, 'l')],
  rpush: (r) =>
    spread(
      r,
      [key(r, 'l')],
      r.some(() => value(r)),
    ),
  rpushx: (r) =>
    spread(
      r,
      [key(r, 'l')],
      r.some(() => value(r)),
    ),

  sadd: (r) =>
    spread(
      r,
      [key(r, 't')],
      r.some(() => member(r)),
    ),
  scard: one('t'),
  sdiff: keysOf('t'),
  sdiffstore: keysOf('t', (r) => [key(r, 't')]),
  sinter: keysOf('t'),
  sintercard: (r) => counted(r, 't', ...maybe(r, 'LIMIT', 1)),
  sinterstore: keysOf('t', (r) => [key(r, 't')]),
  sismember: (r) => [key(r, 't'), member(r)],
  smembers: one('t'),
  smismember: (r) =>
    spread(
      r,
      [key(r, 't')],
      r.some(() => member(r)),
    ),
  smove: (r) => [key(r, 't'), key(r, 't'), member(r)],
  // All of them, or the only one.
  spop: (r) => (r.chance(2) ? ['t9'] : [key(r, 't'), 100]),
  srandmember: (r) => (r.chance(2) ? ['t9'] : [key(r, 't'), 100]),
  srem: (r) =>
    spread(
      r,
      [key(r, 't')],
      r.some(() => member(r)),
    ),
  sscan: (r) => [key(r, 't'), 0, ...maybe(r, 'COUNT', 1000)],
  sunion: keysOf('t'),
  sunionstore: keysOf('t', (r) => [key(r, 't')]),

  bzmpop: (r) => [short, ...counted(r, 'z', r.of(['MIN', 'MAX']))],
  bzpopmax: (r) =>
    spread(
      r,
      [],
      r.some(() => key(r, 'z')),
      [short],
    ),
  bzpopmin: (r) =>
    spread(
      r,
      [],
      r.some(() => key(r, 'z')),
      [short],
    ),
  zadd: (r) =>
    r.of<() => unknown[] | Call>([
      () => spread(r, [key(r, 'z')], [score(r), member(r)]),
      () => [key(r, 'z'), ...maybe(r, r.of(['NX', 'XX', 'GT', 'LT'])), ...maybe(r, 'CH'), score(r), member(r), 2, 'z'],
      () => [key(r, 'z'), ...maybe(r, 'NX'), 'INCR', score(r), member(r)],
    ])(),
  zcard: one('z'),
  zcount: (r) => [key(r, 'z'), bound(r), bound(r)],
  zdiff: (r) => counted(r, 'z', ...maybe(r, 'WITHSCORES')),
  zdiffstore: (r) => [key(r, 'z'), ...counted(r, 'z')],
  zincrby: (r) => [key(r, 'z'), score(r), member(r)],
  zinter: (r) => counted(r, 'z', ...maybe(r, 'AGGREGATE', 'MAX'), ...maybe(r, 'WITHSCORES')),
  zintercard: (r) => counted(r, 'z', ...maybe(r, 'LIMIT', 1)),
  zinterstore: (r) => [key(r, 'z'), ...counted(r, 'z')],
  zlexcount: (r) => [r.of(['q1', 'q1', 'none', 's1']), lex(r), lex(r)],
  zmpop: (r) => counted(r, 'z', r.of(['MIN', 'MAX']), ...maybe(r, 'COUNT', 2)),
  zmscore: (r) =>
    spread(
      r,
      [key(r, 'z')],
      r.some(() => member(r)),
    ),
  zpopmax: (r) => [key(r, 'z'), ...maybe(r, count(r))],
  zpopmin: (r) => [key(r, 'z'), ...maybe(r, count(r))],
  zrandmember: (r) => (r.chance(3) ? ['z9'] : flag(r, [key(r, 'z'), 100], 'WITHSCORES')),
  zrange: (r) =>
    r.chance(2)
      ? ranked(r)
      : [key(r, 'z'), bound(r), bound(r), 'BYSCORE', ...maybe(r, 'LIMIT', 0, 2), ...maybe(r, 'WITHSCORES')],
  zrangebylex: (r) => [r.of(['q1', 'q1', 'none', 's1']), lex(r), lex(r), ...maybe(r, 'LIMIT', 0, 1)],
  zrangebyscore: scored,
  zrangestore: (r) => [key(r, 'z'), key(r, 'z'), int(r), int(r)],
  zrank: (r) => [key(r, 'z'), member(r)],
  zrem: (r) =>
    spread(
      r,
      [key(r, 'z')],
      r.some(() => member(r)),
    ),
  zremrangebylex: (r) => [r.of(['q1', 'q1', 'none', 's1']), lex(r), lex(r)],
  zremrangebyrank: (r) => [key(r, 'z'), int(r), int(r)],
  zremrangebyscore: (r) => [key(r, 'z'), bound(r), bound(r)],
  zrevrange: ranked,
  zrevrangebylex: (r) => [r.of(['q1', 'q1', 'none', 's1']), lex(r), lex(r)],
  zrevrangebyscore: scored,
  zrevrank: (r) => [key(r, 'z'), member(r)],
  zscan: (r) => [key(r, 'z'), 0, ...maybe(r, 'COUNT', 1000)],
  zscore: (r) => [key(r, 'z'), member(r)],
  zunion: (r) => counted(r, 'z', ...maybe(r, 'AGGREGATE', 'MIN'), ...maybe(r, 'WITHSCORES')),
  zunionstore: (r) => [key(r, 'z'), ...counted(r, 'z', ...maybe(r, 'AGGREGATE', 'MAX'))],

  xack: (r) =>
    spread(
      r,
      [key(r, 'x'), 'group'],
      r.some(() => id(r)),
    ),
  xadd: (r) => [
    key(r, 'x'),
    ...maybe(r, 'NOMKSTREAM'),
    ...maybe(r, 'MAXLEN', 3),
    `${3 + r.below(9)}-${r.below(3)}`,
    'f',
    value(r),
  ],
  xautoclaim: (r) => [
    key(r, 'x'),
    r.of(['group', 'nobody']),
    'bob',
    0,
    '0',
    ...maybe(r, 'COUNT', 5),
    ...maybe(r, 'JUSTID'),
  ],
  xclaim: (r) => [key(r, 'x'), r.of(['group', 'nobody']), 'bob', 0, id(r), ...maybe(r, 'JUSTID')],
  xdel: (r) =>
    spread(
      r,
      [key(r, 'x')],
      r.some(() => id(r)),
    ),
  xgroup: (r) =>
    r.of([
      ['CREATE', key(r, 'x'), 'second', '$', 'MKSTREAM'],
      ['CREATECONSUMER', key(r, 'x'), 'group', 'carol'],
      ['DELCONSUMER', key(r, 'x'), 'group', 'carol'],
      ['SETID', key(r, 'x'), 'group', '0'],
      ['DESTROY', key(r, 'x'), 'second'],
    ]),
  xinfo: (r) => [r.of(['GROUPS', 'STREAM']), key(r, 'x')],
  xlen: one('x'),
  xpending: (r) => [key(r, 'x'), r.of(['group', 'nobody'])],
  xrange: (r) => [key(r, 'x'), r.of(['-', '2-1']), r.of(['+', '2']), ...maybe(r, 'COUNT', 1)],
  xread: (r) => {
    const streams = r.some(() => key(r, 'x'), 2);
    return [
      ...maybe(r, 'COUNT', 1),
      ...maybe(r, 'BLOCK', 10),
      'STREAMS',
      ...streams,
      ...streams.map(() => r.of(['0', '2-1', '$'])),
    ];
  },
  xreadgroup: (r) => [
    ...['GROUP', r.of(['group', 'group', 'nobody']), r.of(['alice', 'block']), ...maybe(r, 'COUNT', 1)],
    ...[...maybe(r, 'BLOCK', 10), 'STREAMS', key(r, 'x'), r.of(['>', '0'])],
  ],
  xrevrange: (r) => [key(r, 'x'), '+', '-', ...maybe(r, 'COUNT', 1)],
  xsetid: (r) => [key(r, 'x'), '50-0'],
  xtrim: (r) => [key(r, 'x'), r.of(['MAXLEN', 'MINID']), r.of([1, 2])],

  bitcount: (r) => [key(r, 's'), ...r.of([[], [0, -1], [1, 2, 'BIT']])],
  bitfield: (r) => [
    key(r, 's'),
    ...r.of([[], ['GET', 'u8', 0], ['INCRBY', 'i5', 2, 1, 'OVERFLOW', 'FAIL', 'SET', 'u4', 0, 9]]),
  ],
  bitfield_ro: (r) => [key(r, 's'), 'GET', 'u8', r.of([0, '#1'])],
  bitop: (r) =>
    spread(
      r,
      [r.of(['AND', 'OR', 'XOR', 'NOT']), 's2'],
      r.some(() => key(r, 's')),
    ),
  bitpos: (r) => [key(r, 's'), r.of([0, 1, 2]), ...maybe(r, 1)],
  getbit: (r) => [key(r, 's'), r.of([0, 9, 1000, -1])],
  setbit: (r) => [key(r, 's'), r.of([0, 9, 100]), r.of([0, 1, 2])],

  geoadd: (r) => [key(r, 'g'), ...maybe(r, 'CH'), r.of([13.4, 200]), 52.5, r.of(['berlin', 'potsdam'])],
  geodist: (r) => [key(r, 'g'), 'berlin', r.of(['paris', 'nowhere']), ...maybe(r, 'km')],
  geohash: (r) => spread(r, [key(r, 'g')], ['berlin', 'nowhere']),
  geopos: (r) => spread(r, [key(r, 'g')], ['berlin', 'nowhere']),
  georadius: (r) => [key(r, 'g'), 13, 52, ...near(r)],
  georadius_ro: (r) => [key(r, 'g'), 13, 52, ...near(r)],
  georadiusbymember: (r) => [key(r, 'g'), r.of(['berlin', 'nowhere']), ...near(r)],
  georadiusbymember_ro: (r) => [key(r, 'g'), 'berlin', ...near(r)],
  geosearch: (r) => [
    key(r, 'g'),
    'FROMLONLAT',
    13,
    52,
    'BYRADIUS',
    2000,
    'km',
    'ASC',
    ...maybe(r, 'WITHCOORD', 'WITHHASH'),
  ],
  geosearchstore: (r) => [key(r, 'g'), key(r, 'g'), 'FROMMEMBER', 'berlin', 'BYBOX', 9000, 9000, 'km'],

  pfadd: (r) =>
    spread(
      r,
      [key(r, 'p')],
      r.some(() => member(r)),
    ),
  pfcount: keysOf('p'),
  pfmerge: (r) =>
    spread(
      r,
      [key(r, 'p')],
      r.some(() => key(r, 'p')),
    ),

  eval: (r) => [
    r.of(['return {#KEYS, ARGV, 1.5, false}', 'return redis.call("GET", KEYS[1])', 'return nope']),
    1,
    key(r, 's'),
    value(r),
  ],
  eval_ro: (r) => [r.of(['return ARGV[1]', 'return redis.call("SET", KEYS[1], 1)']), 1, key(r, 's'), value(r)],
  evalsha: (r) => [r.of(['e0e1f9fabfc9d4800c877a703b823ac0578ff8db', 'nope']), 0],
  evalsha_ro: () => ['f'.repeat(40), 0],
  fcall: (r) => [r.of(['echo', 'nope']), 1, key(r, 's'), value(r)],
  fcall_ro: (r) => [r.of(['echo', 'nope']), 0, value(r)],
  function: (r) =>
    r.of([
      [
        'LOAD',
        'REPLACE',
        "#!lua name=calls\nredis.register_function{function_name='echo', callback=function(k, a) return a[1] end, flags={'no-writes'}}",
      ],
      ['DELETE', 'no such'],
      ['LOAD', 'broken'],
    ]),
  script: (r) => r.of([['LOAD', 'return 1'], ['EXISTS', 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db', 'x'], ['NOSUCH']]),

  client: (r) => r.of([['GETREDIR'], ['LIST', 'ID', 999_999_999], ['NOSUCH']]),
  command: (r) => r.of([['GETKEYS', 'MSET', 'a', 1, 'b', 2], ['INFO', 'nope'], ['NOSUCH']]),
  config: (r) =>
    r.of([
      ['GET', 'maxmemory'],
      ['GET', 'no such'],
      ['SET', 'no such', 1],
    ]),
  dbsize: () => [],
  echo: (r) => [value(r)],
  flushall: (r) => maybe(r, 'SYNC'),
  flushdb: (r) => r.of([[], ['ASYNC'], ['NEVER']]),
  info: () => ['server'],
  lastsave: () => [],
  latency: (r) => r.of([['HISTORY', 'command'], ['RESET', 'nope'], ['NOSUCH']]),
  lolwut: () => ['VERSION', 5, 1, 1, 1],
  memory: (r) => r.of([['USAGE', anyKey(r)], ['NOSUCH']]),
  ping: (r) => maybe(r, value(r)),
  publish: (r) => ['channel', value(r)],
  pubsub: (r) => r.of([['CHANNELS', 'no such*'], ['NUMSUB', 'channel'], ['NOSUCH']]),
  role: () => [],
  slowlog: (r) => r.of([['RESET'], ['GET', 0], ['NOSUCH']]),
  time: () => [],
};
