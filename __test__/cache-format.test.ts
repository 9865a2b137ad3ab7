import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CacheOptions, CacheService, RedisService } from '../ts/index.js';
import { packMessage, unpackMessage } from '../ts/message-pack.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let redis: RedisService;
const open: CacheService<any, any>[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
});

afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
  await redis.close();
  await server.stop();
});

function make(options: CacheOptions = {}) {
  const prefix = options.prefix ?? `${uniquePrefix('format')}:`;
  const cache = new CacheService({ redis: { url: server.url }, onError: 'throw', ...options, prefix });
  const errors: Error[] = [];
  cache.on('error', (error) => errors.push(error));
  open.push(cache);
  return { cache, prefix, errors };
}

const rich = () => ({
  date: new Date('2026-02-07T10:00:00.123Z'),
  before1970: new Date(-1),
  invalid: new Date(Number.NaN),
  map: new Map<unknown, unknown>([
    ['a', [1, 2]],
    [[1], new Set([new Date(5)])],
  ]),
  set: new Set(['a', 1n, null, undefined]),
  big: -(2n ** 80n),
  buffer: Buffer.from([0, 1, 127, 128, 255]),
  floats: new Float64Array([1.5, Number.NaN, -0]),
  bytes: new Uint8Array([1, 2, 3]),
  wide: new BigUint64Array([2n ** 63n]),
  missing: undefined,
  nothing: null,
  numbers: [0, -1, 127, 128, -32, -33, -128, -129, 65_535, 65_536, 2 ** 32, -(2 ** 31) - 1, 2 ** 53, 1e300, -0, 0.1],
  texts: ['', 'é 日本 😀', 'x'.repeat(31), 'x'.repeat(32), 'y'.repeat(300), 'z'.repeat(70_000)],
  long: Array.from({ length: 70_000 }, (_, index) => index % 300),
  ['__proto__']: { polluted: true },
  sparse: Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`key${index}`, index])),
});

describe('MessagePack', () => {
  it('gives every type back as it went in', () => {
    const back = unpackMessage(packMessage(rich())) as ReturnType<typeof rich>;
    expect(back).toEqual(rich());
    expect(Object.keys(back)).toEqual(Object.keys(rich()));
    expect('missing' in back).toBe(true);
    expect(Buffer.isBuffer(back.buffer)).toBe(true);
    expect(back.bytes).toBeInstanceOf(Uint8Array);
    expect(Object.is(back.numbers[14], -0)).toBe(true);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('is what other implementations write', () => {
    const bytes = Buffer.from('82a16101a16293c3c0cb3ff8000000000000', 'hex');
    expect(packMessage({ a: 1, b: [true, null, 1.5] })).toEqual(bytes);
    expect(unpackMessage(bytes)).toEqual({ a: 1, b: [true, null, 1.5] });
    // A timestamp of 32 bits, a float of 32 bits, an integer of 64 bits.
    expect(unpackMessage(Buffer.from('d6ff00000001', 'hex'))).toEqual(new Date(1000));
    expect(unpackMessage(Buffer.from('ca3fc00000', 'hex'))).toBe(1.5);
    expect(unpackMessage(Buffer.from('cfffffffffffffffff', 'hex'))).toBe(2n ** 64n - 1n);
  });

  it('refuses what cannot be stored, and says where it is', () => {
    expect(() => packMessage({ a: [{ f: () => 1 }] })).toThrow('the value.a[0].f is a function');
    expect(() => packMessage(new Map([['k', Symbol('s')]]))).toThrow('the value (Map)[1] is a symbol');
    expect(() => packMessage(Promise.resolve(1))).toThrow('is a Promise');
    const loop: { self?: unknown } = {};
    loop.self = loop;
    expect(() => packMessage(loop)).toThrow('contains itself');
  });

  it('survives every damage', () => {
    const good = packMessage({ ...rich(), long: [], texts: [] });
    for (let length = 0; length < good.length; length++) {
      expect(() => unpackMessage(good.subarray(0, length))).toThrow();
    }
    // A list that says it has four billion items makes no room for them.
    expect(() => unpackMessage(Buffer.from('ddffffffff', 'hex'))).toThrow('end too early');
    for (let round = 0; round < 5_000; round++) {
      const bytes = Buffer.from(good);
      bytes[(round * 7919) % bytes.length] = (round * 31) & 255;
      try {
        unpackMessage(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});

describe('a cache with MessagePack', () => {
  it.each([
    ['as it is', undefined],
    ['with zstd', { threshold: 100 }],
    ['with lz4', { threshold: 100, algorithm: 'lz4' as const }],
  ])('keeps types through every level, %s', async (_name, compression) => {
    const options: CacheOptions = { serializer: 'msgpack', ...(compression && { compression }) };
    const { cache, prefix, errors } = make(options);
    const other = make({ ...options, prefix, clone: true }).cache;
    await cache.set('plain', rich());
    await cache.set('tagged', rich(), { tags: ['t'] });
    await cache.mset([{ key: 'bulk', value: rich() }]);
    await cache.getOrSet('made', rich, { tags: ['t'] });
    for (const key of ['plain', 'tagged', 'bulk', 'made']) {
      for (const reader of [cache, other]) {
        expect(await reader.getRedis(key), key).toEqual(rich());
        expect(errors.map((error) => error.message)).toEqual([]);
        expect(await reader.get(key)).toEqual(rich());
        expect(await reader.get(key)).toEqual(rich());
        expect((await reader.mget([key]))[0]).toEqual(rich());
      }
      await expect(cache.get(key, { parse: false })).rejects.toMatchObject({ code: 'ERR_NOT_SERIALIZABLE' });
    }
    expect(Buffer.isBuffer(((await other.get('plain')) as ReturnType<typeof rich>).buffer)).toBe(true);
    await cache.invalidateByTag('t');
    expect(await other.get('tagged')).toBeNull();
  });

  it('reads JSON, and JSON reads it', async () => {
    const { cache, prefix } = make({ serializer: 'msgpack' });
    const json = make({ prefix }).cache;
    await redis.set(`${prefix}foreign`, '{"a":1}');
    expect(await cache.get('foreign')).toEqual({ a: 1 });
    await cache.set('mine', new Map([[1, 2]]));
    expect(await json.get('mine')).toEqual(new Map([[1, 2]]));
  });

  it('refuses what cannot be stored', async () => {
    const { cache } = make({ serializer: 'msgpack' });
    await expect(cache.set('k', { f() {} })).rejects.toMatchObject({ code: 'ERR_NOT_SERIALIZABLE' });
    await expect(cache.getOrSet('k', () => ({ f() {} }))).rejects.toMatchObject({ code: 'ERR_NOT_SERIALIZABLE' });
  });
});

describe('compression', () => {
  const large = { text: 'The same words again. '.repeat(20_000) };

  it('makes large values smaller and leaves small ones readable', async () => {
    const { cache, prefix } = make({ compression: { threshold: 1_000 } });
    await cache.set('large', large);
    await cache.set('small', { a: 1 });
    expect(await redis.get(`${prefix}small`)).toBe('{"a":1}');
    const stored = await redis.call('STRLEN', `${prefix}large`);
    expect(stored).toBeGreaterThan(10);
    expect(stored).toBeLessThan(5_000);
    expect(await make({ prefix }).cache.get('large')).toEqual(large);
  });

  it('keeps the order of calls that nobody awaits', async () => {
    const { cache, prefix } = make({ compression: { threshold: 1_000 } });
    const reader = make({ prefix }).cache;
    for (let round = 0; round < 10; round++) {
      void cache.set('k', large);
      await cache.set('k', round);
      expect(await reader.getRedis('k')).toBe(round);
      void cache.set('k', large);
      void cache.mset([{ key: 'k', value: large }]);
      await cache.delete('k');
      expect(await reader.getRedis('k')).toBeNull();
      void cache.set('k', large);
      expect(await cache.getRedis('k')).toEqual(large);
    }
  });

  it('bounds what it unpacks, tells of what it cannot read, and takes it for missing', async () => {
    const { cache: writer, prefix } = make({ compression: { threshold: 1_000 } });
    await writer.set('bomb', 'x'.repeat(4_000_000));
    const { cache, errors } = make({ prefix, level1: { enabled: false }, limits: { maxValueSize: 1_000_000 } });
    expect(await cache.get('bomb')).toBeNull();
    await waitFor(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'ERR_CACHE_ENTRY_UNREADABLE', details: { key: 'bomb' } });
    expect(errors[0]!.message).toContain('4000002 bytes unpacked; allowed: 1000000');
    expect(await cache.getOrSet('bomb', () => 'new')).toBe('new');
    expect(await redis.get(`${prefix}bomb`)).toBe('"new"');
  });

  it.each([
    ['a later version', [0x90, 1, 2]],
    ['an unknown compression', [0x8c, 1, 0, 0, 0, 1]],
    ['damaged MessagePack', [0x81, 0xdd, 0xff]],
    ['a damaged line of tags', [1, 2, 3]],
  ])('takes %s for missing', async (_name, bytes) => {
    const { cache, prefix, errors } = make();
    await redis.set(`${prefix}k`, Buffer.from(bytes));
    expect(await cache.get('k')).toBeNull();
    await waitFor(() => errors.length > 0);
    expect(errors[0]).toMatchObject({ code: 'ERR_CACHE_ENTRY_UNREADABLE' });
    expect(await cache.getOrSet('k', () => 1)).toBe(1);
    await waitFor(async () => (await cache.getOrSet('k', () => 1)) === 1 && (await cache.getRedis('k')) === 1);
  });

  it.each([
    [{ compression: { threshold: -1 } }, 'compression.threshold'],
    [{ compression: { threshold: 1, algorithm: 'gzip' } }, 'compression.algorithm'],
    [{ compression: {} }, 'compression'],
    [{ serializer: 'xml' }, 'serializer'],
  ])('refuses %j', (options, path) => {
    expect(() => make(options as CacheOptions)).toThrow(`\`${path}`);
  });
});
