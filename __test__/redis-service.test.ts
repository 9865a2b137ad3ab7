// What RedisService does beyond sending one command: waiting, transactions, scripts, walks, prefixes, limits, measuring.
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  OxcartError,
  RedisConnectionException,
  RedisDeserializationException,
  RedisException,
  RedisInvalidDataTypeException,
  RedisKeyTooLongException,
  RedisLockException,
  RedisLockReleaseException,
  RedisOperationException,
  RedisSerializationException,
  RedisTimeoutException,
  RedisValueTooLargeException,
} from '../ts/index.js';
import { RedisService, type RedisServiceOptions } from '../ts/redis.js';
import type { RedisConfig } from '../ts/types/redis-config.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let redis: RedisService;
const opened: RedisService[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((service) => service.close()));
});
afterAll(async () => {
  await redis?.close();
  await server?.stop();
});

function open(config: RedisConfig = {}, options: RedisServiceOptions = {}): RedisService {
  const service = new RedisService({ url: server.url, ...config }, options);
  opened.push(service);
  return service;
}

describe('commands that wait', () => {
  test('get what comes, and hold up nobody', async () => {
    const key = uniquePrefix('list');
    const waiting = Promise.all([redis.blpop(key, 0), redis.brpop([key, `${key}:other`], 0)]);
    // Commands of the same service go on.
    expect(await redis.llen(key)).toBe(0);
    await redis.rpush(key, 'first');
    await redis.rpush(key, 'second');
    expect((await waiting).map((popped) => popped?.[1]).sort()).toEqual(['first', 'second']);
    expect((await waiting)[0]?.[0]).toBe(key);
  });

  test('end with null when nothing comes, by call too', async () => {
    const key = uniquePrefix('list');
    expect(await redis.blpop(key, 0.01)).toBeNull();
    expect(await redis.bzpopmin(key, 0.01)).toBeNull();
    expect(await redis.blmove(key, key, 'LEFT', 'RIGHT', 0.01)).toBeNull();
    expect(await redis.xread('BLOCK', 10, 'STREAMS', key, '$')).toBeNull();
    expect(await redis.call('BLPOP', key, '0.01')).toBeNull();
    await redis.rpush(key, 'ü');
    expect(await redis.blpopBuffer(key, 1)).toEqual([Buffer.from(key), Buffer.from('ü')]);
  });

  test('a consumer waits for its stream', async () => {
    const key = uniquePrefix('stream');
    await redis.xgroup('CREATE', key, 'workers', '$', 'MKSTREAM');
    const waiting = redis.xreadgroup('GROUP', 'workers', 'ann', 'BLOCK', 0, 'STREAMS', key, '>');
    const id = await redis.xadd(key, '*', 'job', '1');
    expect(await waiting).toEqual([[key, [[id, ['job', '1']]]]]);
    expect(await redis.xack(key, 'workers', id!)).toBe(1);
  });

  test('close ends them with null, and no element is lost', async () => {
    const key = uniquePrefix('closing');
    const service = open();
    const waiting = [service.blpop(key, 0), service.blpop(key, 0), service.bzpopmax(`${key}:z`, 0)];
    await service.ping();
    await service.close();
    expect(await Promise.all(waiting)).toEqual([null, null, null]);
    await redis.rpush(key, 'kept');
    expect(await redis.llen(key)).toBe(1);
    await expect(service.blpop(key, 0)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test.skipIf(inMemory)('close ends them soon when the server is silent', async () => {
    await using own = await RedisServer.start();
    await using proxy = await FlakyProxy.start({ port: own.port });
    await using direct = new RedisService({ url: own.url });
    const service = new RedisService({ host: '127.0.0.1', port: proxy.port, commandTimeout: 500 });
    service.on('error', () => undefined);
    await service.ping();
    const waiting = Array.from({ length: 10 }, () => service.blpop('none', 0).catch((error: unknown) => error));
    await waitFor(async () => String(await direct.client('LIST')).split('cmd=blpop').length === 11);
    proxy.silence();
    const started = performance.now();
    await service.close();
    await Promise.all(waiting);
    // Ten deadlines one after the other would be twenty seconds.
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  test.skipIf(inMemory)('those of a thread that ends take nothing any more', async () => {
    const key = uniquePrefix('thread');
    const worker = new Worker(new URL('./fixtures/waiting-thread.mjs', import.meta.url), {
      workerData: { url: server.url, key },
    });
    // Connections that are kept for the next wait are no clients that wait.
    const isWaiting = async () => / flags=\w*b\w* /.test(String(await redis.client('LIST')));
    await waitFor(isWaiting);
    await worker.terminate();
    await waitFor(async () => !(await isWaiting()));
    await redis.rpush(key, 'kept');
    expect(await redis.lpop(key)).toBe('kept');
  });

  test('fifty wait at a time, and no more', async () => {
    const key = uniquePrefix('many');
    const service = open();
    const waiting = Array.from({ length: 50 }, () => service.blpop(key, 0));
    await expect(service.blpop(key, 0)).rejects.toMatchObject({ code: 'ERR_OVERLOADED' });
    await redis.rpush(
      key,
      Array.from({ length: 50 }, (_, index) => String(index)),
    );
    const popped = (await Promise.all(waiting)).map((pair) => Number(pair?.[1]));
    expect(popped.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(await service.blpop(key, 0.01)).toBeNull();
  });

  test('a wrong time is refused by the server', async () => {
    await expect(redis.blpop('key', -1)).rejects.toMatchObject({ code: 'ERR_REPLY' });
    await expect(redis.blpop('key', 'soon')).rejects.toMatchObject({ code: 'ERR_REPLY' });
    await expect((redis as any).blpop('key')).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });
});

describe('transactions', () => {
  test('run as one, with a result for each command as its method gives it', async () => {
    const key = uniquePrefix('multi');
    const transaction = redis
      .multi()
      .set(key, 1)
      .incr(key)
      .hset(`${key}:h`, { a: 1 })
      .hgetall(`${key}:h`)
      .lpush(key, 'x');
    expect(transaction.length).toBe(5);
    const results = await transaction.zadd(`${key}:z`, 1.5, 'm').zrange(`${key}:z`, 0, -1, true).getBuffer(key).exec();
    expect(results?.map(([, value]) => value)).toEqual([
      'OK',
      2,
      1,
      { a: '1' },
      null,
      1,
      ['m', '1.5'],
      Buffer.from('2'),
    ]);
    expect(results?.[4]?.[0]).toBeInstanceOf(RedisInvalidDataTypeException);
    expect(await transaction.exec()).toEqual([]);
  });

  test('many at once keep their replies apart', async () => {
    const key = uniquePrefix('many');
    const all = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const [results, alone] = await Promise.all([
          redis.multi().set(`${key}:${index}`, index).incr(`${key}:${index}`).exec(),
          redis.echo(String(index)),
        ]);
        return [results?.[1]?.[1], alone];
      }),
    );
    expect(all).toEqual(Array.from({ length: 200 }, (_, index) => [index + 1, String(index)]));
  });

  test('a command that the server refuses aborts all, and is the cause', async () => {
    const key = uniquePrefix('abort');
    const error = (await redis
      .multi()
      .set(key, 1)
      .call('NOSUCH', key)
      .exec()
      .catch((error: unknown) => error)) as OxcartError;
    expect(error).toMatchObject({ code: 'ERR_REPLY', details: { reply: 'EXECABORT' } });
    expect((error.cause as Error).message).toContain('unknown command');
    expect(await redis.exists(key)).toBe(0);
  });

  test('a command that cannot be in one keeps all from being sent', async () => {
    const key = uniquePrefix('refused');
    await expect(redis.multi().set(key, 1).call('SUBSCRIBE', 'x').exec()).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    });
    expect(await redis.exists(key)).toBe(0);
    expect(await redis.multi().set(key, 1).exec()).toEqual([[null, 'OK']]);
    expect(() => redis.multi().set(key, undefined as any)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', details: { argument: 'value' } }),
    );
  });

  test('watch: null when a key was changed by another, and nothing is done', async () => {
    const key = uniquePrefix('stock');
    await redis.set(key, 1);
    const outcome = await redis.watch(key, async (watched) => {
      expect(await watched.get(key)).toBe('1');
      await redis.incr(key);
      return await watched.multi().set(key, 'mine').hgetall(`${key}:h`).exec();
    });
    expect(outcome).toBeNull();
    expect(await redis.get(key)).toBe('2');
    const done = await redis.watch([key], async (watched) => {
      const value = Number(await watched.get(key));
      return await watched
        .multi()
        .set(key, value * 2)
        .exec();
    });
    expect(done).toEqual([[null, 'OK']]);
    expect(await redis.get(key)).toBe('4');
  });

  test('watch: additions of many at once all count', async () => {
    const key = uniquePrefix('sum');
    const add = async (): Promise<void> => {
      const done = await redis.watch(key, async (watched) => {
        const sum = Number(await watched.get(key));
        return await watched
          .multi()
          .set(key, sum + 1)
          .exec();
      });
      if (done === null) await add();
    };
    await Promise.all(Array.from({ length: 12 }, add));
    expect(await redis.get(key)).toBe('12');
  });

  test('watch: what work throws comes out, and its watching ends with it', async () => {
    const key = uniquePrefix('throws');
    let kept: any;
    const failing = redis.watch(key, (watched) => {
      kept = watched;
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await expect(kept.get(key)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await redis.set(key, 1);
    // The connection is used again: it watches nothing of before.
    expect(await redis.watch(`${key}:other`, (watched) => watched.multi().incr(key).exec())).toEqual([[null, 2]]);
  });

  test.skipIf(inMemory)('watch: a connection that is lost fails the transaction, and it is not repeated', async () => {
    const kill = async (service: RedisService): Promise<void> => {
      const clients = String(await service.client('LIST')).split('\n');
      const own = clients.filter((line) => line.includes('name=lost-watch-'));
      expect(own).toHaveLength(1);
      await service.client('KILL', 'ID', /id=(\d+)/.exec(own[0]!)![1]!);
    };
    // Several times: what is to be shown is that no moment is a bad one.
    for (let round = 0; round < 10; round++) {
      const key = uniquePrefix('lost');
      const service = open({ connectionName: 'lost' });
      const failed = service.watch(key, async (watched) => {
        await kill(redis);
        return await watched.multi().set(key, 'mine').exec();
      });
      await expect(failed).rejects.toBeInstanceOf(RedisConnectionException);
      expect(await redis.exists(key)).toBe(0);
      const again = () => service.watch(key, (watched) => watched.multi().incr(key).exec());
      expect(await again()).toEqual([[null, 1]]);
      // One that is kept for the next, and lost meanwhile, is not given to it.
      await kill(redis);
      await waitFor(async () => !String(await redis.client('LIST')).includes('name=lost-watch-'));
      const outcome = await again().catch((error: unknown) => error);
      if (!(outcome instanceof RedisConnectionException)) expect(outcome).toEqual([[null, 2]]);
      await service.close();
    }
  });
});

describe('scripts', () => {
  test('are sent once, and again to a server that has forgotten them', async () => {
    const key = uniquePrefix('script');
    const add = redis.defineScript({ numberOfKeys: 1, lua: `return redis.call('INCRBY', KEYS[1], ARGV[1]) -- ${key}` });
    expect(await redis.script('EXISTS', add.sha)).toEqual([0]);
    expect(await add.run([key], [5])).toBe(5);
    expect(await redis.script('EXISTS', add.sha)).toEqual([1]);
    expect(await add.run([key], [2])).toBe(7);
    await redis.script('FLUSH');
    expect(await add.run([key], [1])).toBe(8);
    const read = redis.defineScript({ readOnly: true, lua: `return redis.call('GET', KEYS[1])` });
    expect(await read.runBuffer([key])).toEqual(Buffer.from('8'));
  });

  test('refuse what is no script, and keys that it does not take', async () => {
    expect(() => redis.defineScript({ lua: '' })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
    expect(() => redis.defineScript({ lua: 'return 1', numberOfKeys: -1 })).toThrow(
      expect.objectContaining({ details: { argument: 'numberOfKeys' } }),
    );
    const script = redis.defineScript({ lua: 'return 1', numberOfKeys: 2 });
    await expect(script.run(['a'])).rejects.toMatchObject({ details: { argument: 'keys' } });
    await expect(redis.defineScript({ lua: 'nonsense here' }).run()).rejects.toMatchObject({ code: 'ERR_REPLY' });
  });
});

describe('walks', () => {
  test('give every element, in steps', async () => {
    const prefix = `${uniquePrefix('walk')}:`;
    const service = open({ keyPrefix: prefix });
    const names = Array.from({ length: 2_500 }, (_, index) => `key:${index}`);
    await service.mset(Object.fromEntries(names.map((name) => [name, 1])));
    await service.sadd('set', names);
    await service.hset('hash', { a: 1, b: 2 });
    await service.zadd('zset', 1.5, 'x', 'inf', 'y');
    const found = new Set<string>();
    for await (const key of service.scanIterator({ match: 'key:*', count: 500 })) found.add(key);
    expect([...found].sort()).toEqual([...names].sort());
    const sets: string[] = [];
    for await (const key of service.scanIterator({ type: 'set' })) sets.push(key);
    expect(new Set(sets)).toEqual(new Set(['set']));
    const members = new Set<string>();
    for await (const member of service.sscanIterator('set')) members.add(member);
    expect(members.size).toBe(2_500);
    const fields: [string, string][] = [];
    for await (const field of service.hscanIterator('hash', { match: 'b' })) fields.push(field);
    expect(fields).toEqual([['b', '2']]);
    const scores: [string, number][] = [];
    for await (const score of service.zscanIterator('zset')) scores.push(score);
    expect(scores).toEqual([
      ['x', 1.5],
      ['y', Number.POSITIVE_INFINITY],
    ]);
    await expect(service.scanIterator({ count: 0 }).next()).rejects.toMatchObject({
      details: { argument: 'options.count' },
    });
  });

  test('keys and deleteByPattern see only what has the prefix, to the letter', async () => {
    const unique = uniquePrefix('pattern');
    const [mine, other] = [open({ keyPrefix: `${unique}[ab]*:` }), open({ keyPrefix: `${unique}axx:` })];
    for (const service of [mine, other]) await service.mset('user:1', 1, 'user:2', 2, 'post:1', 3);
    expect((await mine.keys('user:*')).sort()).toEqual(['user:1', 'user:2']);
    expect(['user:1', 'user:2', 'post:1']).toContain(await mine.randomkey());
    expect(await mine.deleteByPattern('user:*')).toBe(2);
    expect(await mine.keys('*')).toEqual(['post:1']);
    expect(await other.deleteByPattern('*')).toBe(3);
    expect(await other.randomkey()).toBeNull();
    await expect(redis.keys(undefined as any)).rejects.toMatchObject({ details: { argument: 'pattern' } });
    await expect(redis.deleteByPattern(5 as any)).rejects.toMatchObject({ details: { argument: 'pattern' } });
  });
});

describe('a keyPrefix', () => {
  test('is off again where a reply names keys', async () => {
    const prefix = `${uniquePrefix('prefix')}:`;
    const service = open({ keyPrefix: prefix });
    await service.rpush('list', 'a', 'b', 'c');
    await service.zadd('zset', 1, 'm', 2, 'n');
    const id = await service.xadd('stream', '*', 'f', 'v');
    expect(await service.blpop('list', 1)).toEqual(['list', 'a']);
    expect(await service.lmpop(1, 'list', 'LEFT')).toEqual(['list', ['b']]);
    expect(await service.bzpopmin('zset', 1)).toEqual(['zset', 'm', '1']);
    expect(await service.xread('STREAMS', 'stream', '0')).toEqual([['stream', [[id, ['f', 'v']]]]]);
    expect(await service.pipeline().zmpop(1, 'zset', 'MIN').exec()).toEqual([[null, ['zset', [['n', '2']]]]]);
    expect(await service.multi().lmpop(1, 'list', 'LEFT').exec()).toEqual([[null, ['list', ['c']]]]);
    expect(await service.callBuffer('SCAN', 0, 'COUNT', 10_000)).toEqual([Buffer.from('0'), [Buffer.from('stream')]]);
    expect(await redis.exists(`${prefix}stream`)).toBe(1);
    const script = service.defineScript({ lua: `return KEYS[1]` });
    expect(await script.run(['stream'])).toBe(`${prefix}stream`);
    const watched = await service.watch('stream', (own) => own.multi().type('stream').exec());
    expect(watched).toEqual([[null, 'stream']]);
  });
});

describe('values', () => {
  test('objects are written as JSON and read with parse', async () => {
    const key = uniquePrefix('object');
    await redis.set(key, { name: 'Ada', tags: ['a'] }, { ttl: 100 });
    expect(await redis.get(key)).toBe('{"name":"Ada","tags":["a"]}');
    expect(await redis.get<{ name: string }>(key, { parse: true })).toEqual({ name: 'Ada', tags: ['a'] });
    expect(await redis.get(`${key}:none`, { parse: true })).toBeNull();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const unwritable = await redis.set(key, cycle).catch((error: unknown) => error);
    expect(unwritable).toBeInstanceOf(RedisSerializationException);
    expect(unwritable).toMatchObject({ code: 'ERR_NOT_SERIALIZABLE', status: 500 });
    await redis.set(key, 'not JSON');
    const unreadable = await redis.get(key, { parse: true }).catch((error: unknown) => error);
    expect(unreadable).toBeInstanceOf(RedisDeserializationException);
    expect(unreadable).toMatchObject({ name: 'RedisDeserializationException', status: 500, details: { key } });
  });

  test('limits are those of the options, and nothing is sent beyond them', async () => {
    const service = open({ keyPrefix: 'p:' }, { limits: { maxKeyLength: 10, maxValueSize: 1000 } });
    expect(await service.set('12345678', 'x'.repeat(1000))).toBe('OK');
    const tooLong = await service.get('123456789').catch((error: unknown) => error);
    expect(tooLong).toBeInstanceOf(RedisKeyTooLongException);
    expect(tooLong).toMatchObject({ code: 'ERR_KEY_TOO_LONG', status: 400, details: { bytes: 11, limit: 10 } });
    const tooLarge = await service.hset('h', { f: 'x'.repeat(1001) }).catch((error: unknown) => error);
    expect(tooLarge).toBeInstanceOf(RedisValueTooLargeException);
    expect(tooLarge).toMatchObject({ code: 'ERR_VALUE_TOO_LARGE', status: 400, details: { bytes: 1001, limit: 1000 } });
    expect(await service.exists('h')).toBe(0);
    const [[error]] = (await service.pipeline().set('123456789', 1).exec()) as [[Error, unknown]];
    expect(error).toBeInstanceOf(RedisKeyTooLongException);
    await expect(service.multi().incr('n').set('123456789', 1).exec()).rejects.toBeInstanceOf(OxcartError);
    expect(await service.exists('n')).toBe(0);
    await service.del('12345678');
  });

  test.each([
    ['limits.maxKeyLength', { limits: { maxKeyLength: 0 } }],
    ['limits.maxKeys', { limits: { maxKeys: 1 } }],
    ['pipelineBatchSize', { pipelineBatchSize: 0.5 }],
    ['slowCommandThreshold', { slowCommandThreshold: '1' }],
    ['metricsInterval', { metricsInterval: -1 }],
    ['batch', { batch: 1 }],
    ['options', null],
  ])('the option %s as %j is refused', (option, options) => {
    expect(() => new RedisService({ url: server.url }, options as any)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }),
    );
  });
});

describe('measuring', () => {
  test('slow commands are told by name, without arguments, and only those', async () => {
    const service = open({}, { slowCommandThreshold: 5 });
    const slow: { command: string; durationMs: number }[] = [];
    service.on('slow', (command) => slow.push(command));
    await service.eval('local sum = 0; for at = 1, 4000000 do sum = sum + at end; return sum', 0, 'secret');
    await waitFor(() => slow.some(({ command }) => command === 'EVAL'));
    const told = slow.find(({ command }) => command === 'EVAL')!;
    expect(told.durationMs).toBeGreaterThanOrEqual(5);
    expect(JSON.stringify(told)).not.toContain('secret');
    // Waiting on purpose is not slow.
    await service.blpop(uniquePrefix('none'), 0.05);
    expect(slow.some(({ command }) => command === 'BLPOP')).toBe(false);
  });

  test('metrics count what was answered since the last time, while somebody listens', async () => {
    const service = open({}, { metricsInterval: 20 });
    await service.ping();
    const told: { commands: number; errors: number; longestMs: number }[] = [];
    const listener = (metrics: (typeof told)[number]): void => void told.push(metrics);
    service.on('metrics', listener);
    const key = uniquePrefix('metrics');
    await Promise.all([service.set(key, 'x'), service.get(key), service.incr(key).catch(() => undefined)]);
    const sum = (field: 'commands' | 'errors') => told.reduce((total, metrics) => total + metrics[field], 0);
    await waitFor(() => sum('commands') === 3);
    expect(sum('errors')).toBe(1);
    await service.pipeline().get(key).incr(key).exec();
    await service.multi().get(key).incr(key).exec();
    await waitFor(() => sum('commands') === 7);
    expect(sum('errors')).toBe(3);
    expect(Math.max(...told.map(({ longestMs }) => longestMs))).toBeGreaterThan(0);
    service.off('metrics', listener);
    const count = told.length;
    await service.ping();
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(told).toHaveLength(count);
  });
});

describe('exceptions have the names that applications know', () => {
  test('by what happened', async () => {
    const key = uniquePrefix('exceptions');
    const failure = (promise: Promise<unknown>) =>
      promise.then(
        () => undefined,
        (error: unknown) => error,
      );
    await redis.set(key, 'x');
    const wrongType = await failure(redis.lpush(key, 1));
    expect(wrongType).toBeInstanceOf(RedisInvalidDataTypeException);
    expect(wrongType).toBeInstanceOf(RedisOperationException);
    expect(wrongType).toBeInstanceOf(RedisException);
    expect(wrongType).toMatchObject({ code: 'ERR_REPLY', status: 400 });
    const notANumber = await failure(redis.incr(key));
    expect(notANumber).toBeInstanceOf(RedisOperationException);
    expect(notANumber).not.toBeInstanceOf(RedisInvalidDataTypeException);
    expect(notANumber).toMatchObject({ status: 500 });
    const wrong = await failure((redis as any).get());
    expect(wrong).not.toBeInstanceOf(RedisException);
    const id = (await redis.acquireLock(key, 30))!;
    const taken = await failure(redis.withLock(key, { ttl: 5, maxRetries: 0 }, () => undefined));
    expect(taken).toBeInstanceOf(RedisLockException);
    expect(taken).not.toBeInstanceOf(RedisLockReleaseException);
    expect(taken).toMatchObject({ status: 409 });
    await redis.releaseLock(key, id);
  });

  test.skipIf(inMemory)('a server that is away', async () => {
    await using own = await RedisServer.start();
    const service = new RedisService({ host: own.host, port: own.port, commandTimeout: 300 });
    service.on('error', () => undefined);
    await service.ping();
    await own.kill();
    const error = await service.get('key').catch((error: unknown) => error);
    const isEither = error instanceof RedisTimeoutException || error instanceof RedisConnectionException;
    expect(isEither, String(error)).toBe(true);
    expect(error).toBeInstanceOf(RedisException);
    await service.close();
  });
});
