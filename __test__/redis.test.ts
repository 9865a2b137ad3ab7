import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { door } from '../ts/native.js';
import { RedisService } from '../ts/redis.js';
import type { RedisConfig } from '../ts/types/redis-config.js';
import { freePort, inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let redis: RedisService;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = open();
});

afterAll(async () => {
  await redis?.close();
  await server?.stop();
});

function open(config: RedisConfig = {}): RedisService {
  return new RedisService({ url: server.url, ...config });
}

describe('commands', () => {
  test('each method does what its command does', async () => {
    const [a, b, n] = [uniquePrefix('a'), uniquePrefix('b'), uniquePrefix('n')];
    expect(await redis.ping()).toBe('PONG');
    expect(await redis.set(a, 'one')).toBe('OK');
    expect(await redis.get(a)).toBe('one');
    expect(await redis.get(b)).toBeNull();
    expect(await redis.getBuffer(a)).toEqual(Buffer.from('one'));
    expect(await redis.exists(a, b, a)).toBe(2);
    expect(await redis.exists([a, b])).toBe(1);
    expect(await redis.incr(n)).toBe(1);
    expect(await redis.incrby(n, 41)).toBe(42);
    expect(await redis.incrby(n, -2n)).toBe(40);
    expect(await redis.ttl(n)).toBe(-1);
    expect(await redis.expire(n, 100)).toBe(true);
    expect(await redis.expire(b, 100)).toBe(false);
    expect(await redis.ttl(n)).toBeGreaterThan(90);
    expect(await redis.ttl(b)).toBe(-2);
    expect(await redis.mget(a, b, n)).toEqual(['one', null, '40']);
    expect(await redis.mget([a])).toEqual(['one']);
    expect(await redis.del(a, b, n)).toBe(2);
  });

  test('set takes seconds, options and the words of the command', async () => {
    const key = uniquePrefix('set');
    expect(await redis.set(key, 1, 100)).toBe('OK');
    expect(await redis.ttl(key)).toBeGreaterThan(90);
    expect(await redis.set(key, 2, { nx: true })).toBeNull();
    expect(await redis.set(key, 2, { xx: true, get: true, keepTtl: true })).toBe('1');
    expect(await redis.ttl(key)).toBeGreaterThan(90);
    expect(await redis.set(key, 3, { px: 5_000, nx: undefined })).toBe('OK');
    expect(await redis.ttl(key)).toBeLessThanOrEqual(5);
    expect(await redis.set(key, 4, { exat: Math.floor(Date.now() / 1_000) + 500 })).toBe('OK');
    expect(await redis.ttl(key)).toBeGreaterThan(400);
    expect(await redis.set(key, 5, { pxat: Date.now() + 50_000 })).toBe('OK');
    expect(await redis.ttl(key)).toBeLessThan(60);
    expect(await redis.set(key, 6, 'EX', 70, 'XX')).toBe('OK');
    expect(await redis.ttl(key)).toBeGreaterThan(60);
    expect(await redis.set(key, 7, { ttl: 30 })).toBe('OK');
    expect(await redis.ttl(key)).toBeLessThanOrEqual(30);
  });

  test('call answers in the shapes of RESP2, on a RESP3 connection too', async () => {
    const key = uniquePrefix('hash');
    expect(await redis.call('hset', key, ['field', 'value', 'n'], 1)).toBe(2);
    expect(await redis.call('HGETALL', key)).toEqual(['field', 'value', 'n', '1']);
    expect(await redis.callBuffer('HGET', key, 'field')).toEqual(Buffer.from('value'));
    const zset = uniquePrefix('zset');
    await redis.call('ZADD', zset, 1.5, 'a', 'inf', 'b');
    expect(await redis.call('ZSCORE', zset, 'a')).toBe('1.5');
    expect(await redis.call('ZRANGE', zset, 0, -1, 'WITHSCORES')).toEqual(['a', '1.5', 'b', 'inf']);
    expect(await redis.call('ZRANGE', zset, 0, -1)).toEqual(['a', 'b']);
    expect(await redis.call('ZPOPMIN', zset)).toEqual(['a', '1.5']);
    expect(await redis.call('HRANDFIELD', key, -1, 'WITHVALUES')).toHaveLength(2);
    const stream = uniquePrefix('stream');
    const id = await redis.call('XADD', stream, '*', 'f', 'v');
    expect(await redis.call('XREAD', 'STREAMS', stream, 0)).toEqual([[stream, [[id, ['f', 'v']]]]]);
    expect(await redis.call('SMEMBERS', uniquePrefix('none'))).toEqual([]);
    expect(await redis.call('EVAL', 'return {1, {2, {"x", false}}, redis.error_reply("ODD one")}', 0)).toEqual([
      1,
      [2, ['x', null]],
      expect.objectContaining({ name: 'ReplyError', code: 'ERR_REPLY', details: { reply: 'ODD' } }),
    ]);
  });

  test('integers keep every digit: beyond 2^53 they are text', async () => {
    const key = uniquePrefix('int');
    expect(await redis.incrby(key, 9_007_199_254_740_991n)).toBe(Number.MAX_SAFE_INTEGER);
    expect(await redis.incrby(key, 1)).toBe('9007199254740992');
    expect(await redis.call('INCRBY', key, 9_214_364_837_600_034_815n)).toBe('9223372036854775807');
    expect(await redis.call('DECRBY', key, 9_223_372_036_854_775_807n)).toBe(0);
    expect(await redis.incrby(key, -2_147_483_649)).toBe(-2_147_483_649);
  });

  test('a command that the table does not know still reaches the server', async () => {
    await expect(redis.call('OXCART.NONSENSE', 'x')).rejects.toMatchObject({
      code: 'ERR_REPLY',
      message: expect.stringContaining('unknown command'),
    });
  });

  test('keyPrefix stands before keys, patterns of SORT included, and nothing else', async () => {
    const prefix = `${uniquePrefix('prefix')}:`;
    await using prefixed = open({ keyPrefix: prefix });
    await prefixed.call('MSET', 'w1', 2, 'w2', 1);
    await prefixed.call('RPUSH', 'list', '1', '2');
    expect(await redis.mget(`${prefix}w1`, `${prefix}w2`)).toEqual(['2', '1']);
    expect(await prefixed.call('SORT', 'list', 'BY', 'w*', 'STORE', 'sorted')).toBe(2);
    expect(await redis.call('LRANGE', `${prefix}sorted`, 0, -1)).toEqual(['2', '1']);
    expect(await prefixed.call('EVAL', 'return {KEYS[1], ARGV[1]}', 1, 'k', 'a')).toEqual([`${prefix}k`, 'a']);
    expect(await prefixed.del('w1', 'w2', 'list', 'sorted')).toBe(4);
  });

  test('calls reach the server in the order in which they were made', async () => {
    const key = uniquePrefix('order');
    const replies = await Promise.all(Array.from({ length: 5_000 }, (_, index) => redis.call('RPUSH', key, index)));
    expect(replies).toEqual(Array.from({ length: 5_000 }, (_, index) => index + 1));
    const list = (await redis.call('LRANGE', key, 0, -1)) as string[];
    expect(list).toEqual(Array.from({ length: 5_000 }, (_, index) => String(index)));
  });
});

describe('pipeline', () => {
  test('exec gives an outcome for each command, in order', async () => {
    const key = uniquePrefix('pipeline');
    const pipeline = redis.pipeline();
    pipeline.set(key, 1).incr(key).incrby(key, 3).get(key).getBuffer(key).ttl(key).expire(key, 10).exists(key, key);
    pipeline.mget([key]).call('APPEND', key, 'x').callBuffer('GETRANGE', key, 0, 0).incr(key).ping().del(key);
    expect(pipeline.length).toBe(14);
    const results = await pipeline.exec();
    expect(results.map(([, value]) => value)).toEqual([
      'OK',
      2,
      5,
      '5',
      Buffer.from('5'),
      -1,
      true,
      2,
      ['5'],
      2,
      Buffer.from('5'),
      null,
      'PONG',
      1,
    ]);
    expect(results.map(([error]) => error === null)).toEqual(results.map((_, index) => index !== 11));
    expect(results[11]![0]).toMatchObject({ name: 'ReplyError', code: 'ERR_REPLY' });
    expect(results[11]![0]!.stack).toContain('redis.test.ts');
    expect(pipeline.length).toBe(0);
    expect(await pipeline.exec()).toEqual([]);
  });

  test('a pipeline larger than what is in flight at once is answered completely', async () => {
    const key = uniquePrefix('large');
    const pipeline = redis.pipeline();
    for (let index = 0; index < 80_000; index++) pipeline.incr(key);
    const results = await pipeline.exec();
    expect(results).toHaveLength(80_000);
    expect(results.every(([error, value], index) => error === null && value === index + 1)).toBe(true);
  });

  test('a wrong argument throws where it is given; nothing of the pipeline is lost or sent', async () => {
    const key = uniquePrefix('wrong');
    const pipeline = redis.pipeline().set(key, 'x');
    expect(() => pipeline.expire(key, Number.NaN)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
    expect(() => pipeline.call('')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }));
    expect(await redis.exists(key)).toBe(0);
    expect(await pipeline.exec()).toEqual([[null, 'OK']]);
  });

  test('a command that would wait fails alone; the methods of those that always do are not there', async () => {
    const key = uniquePrefix('waits');
    const pipeline = redis
      .pipeline()
      .set(key, 'x')
      .xread('BLOCK', 0, 'STREAMS', key, '$')
      .call('BLPOP', key, 0)
      .get(key);
    const results = await pipeline.exec();
    expect(results.map(([error, value]) => (error as { code?: string } | null)?.code ?? value)).toEqual([
      'OK',
      'ERR_UNSUPPORTED_COMMAND',
      'ERR_UNSUPPORTED_COMMAND',
      'x',
    ]);
    expect(pipeline).not.toHaveProperty('blpop');
  });

  test('pipelineBatchSize sends so many at once, and gives all results in order', async () => {
    await using service = new RedisService({ url: server.url }, { pipelineBatchSize: 7 });
    const key = uniquePrefix('batches');
    const pipeline = service.pipeline();
    for (let index = 0; index < 100; index++) pipeline.incr(key);
    let inFlight = 0;
    const done = pipeline.exec();
    await new Promise((resolve) => setImmediate(resolve));
    inFlight = door.pending;
    expect(inFlight).toBeLessThanOrEqual(7);
    expect((await done).map(([, value]) => value)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  });
});

describe('bad input is refused with its code, and the service stays usable', () => {
  const values: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['an object of a class', new (class Some {})()],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a boolean', true],
    ['NaN', Number.NaN],
    ['a Date', new Date()],
    ['a Map', new Map()],
    ['an ArrayBuffer', new ArrayBuffer(8)],
  ];
  test.each(values)('%s as a value', async (_name, value) => {
    await expect(redis.set('key', value as any)).rejects.toMatchObject({
      name: 'ArgumentError',
      code: 'ERR_INVALID_ARGUMENT',
      details: { argument: expect.any(String) },
    });
    await expect(redis.ping()).resolves.toBe('PONG');
  });

  test.each([...values, ['an object', {}]] as [string, unknown][])(
    '%s among the arguments of call',
    async (_name, value) => {
      await expect(redis.call('ECHO', value as any)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
      const many = Array.from({ length: 2_000 }, () => 'x' as any);
      many[1_500] = value;
      await expect(redis.call('DEL', ...many)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
      await expect(redis.ping()).resolves.toBe('PONG');
    },
  );

  test.each([
    ['an empty name', ''],
    ['two words', 'CONFIG GET'],
    ['a line break', 'GET\r\nFLUSHALL'],
    ['undefined', undefined],
    ['an object', {}],
    ['a long name', 'X'.repeat(10_000)],
  ])('%s as a command', async (_name, command) => {
    await expect(redis.call(command as any)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      details: { argument: 'command' },
    });
  });

  test.each([
    ['WAIT', 1, 0],
    ['SUBSCRIBE', 'channel'],
    ['MONITOR'],
    ['SELECT', 1],
    ['MULTI'],
    ['WATCH', 'key'],
    ['CLIENT', 'REPLY', 'OFF'],
    ['AUTH', 'x'],
    ['HELLO', 2],
    ['RESET'],
    ['QUIT'],
  ])('%s, which must not run on a shared connection', async (command, ...args) => {
    await expect(redis.call(command as string, ...(args as string[]))).rejects.toMatchObject({
      name: 'ArgumentError',
      code: 'ERR_UNSUPPORTED_COMMAND',
    });
    await expect(redis.ping()).resolves.toBe('PONG');
  });

  test.each([
    ['ttl', { ttl: 0 }],
    ['ttl', { ttl: 1.5 }],
    ['px', { px: -1 }],
    ['ex', { ex: '10' }],
    ['options.nx', { nx: 1 }],
    ['options.ttls', { ttls: 1 }],
    ['ttl', Number.POSITIVE_INFINITY],
  ])('%s of set as %j', async (argument, options) => {
    await expect(redis.set('key', 'value', options as any)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      details: { argument },
    });
  });

  test('no keys at all', async () => {
    for (const call of [redis.del(), redis.exists([]), redis.mget()]) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT', details: { argument: 'keys' } });
    }
  });

  test('a key above what a server takes', { timeout: 60_000 }, async () => {
    const key = Buffer.alloc((512 << 20) + 1);
    await expect(redis.get(key)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(redis.ping()).resolves.toBe('PONG');
  });

  test.each<[string, RedisConfig, string]>([
    ['an unknown option', { hots: 'x' } as RedisConfig, 'hots'],
    ['a port out of range', { host: 'x', port: 70_000 }, 'port'],
    ['a port as text', { host: 'x', port: '1' as any }, 'port'],
    ['a bad URL', { url: 'http://x' }, 'url'],
    ['a strategy that is not a function', { host: 'x', retryStrategy: 5 as any }, 'retryStrategy'],
    ['an unknown option of tls', { host: 'x', tls: { cart: 'x' } as any }, 'tls.cart'],
    ['null', null as any, 'config'],
    ['text', 'redis://x' as any, 'config'],
  ])('%s in the constructor', (_name, config, option) => {
    let thrown: unknown;
    try {
      new RedisService(config);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: 'OptionError', code: 'ERR_INVALID_OPTION', details: { option } });
    expect((thrown as Error).stack).toContain('redis.test.ts');
  });

  test.skipIf(inMemory)('a wrong password, and a server that is not Redis', async () => {
    await using locked = await RedisServer.start({ requirepass: 'right' });
    const wrong = new RedisService({ host: locked.host, port: locked.port, password: 'wrong', commandTimeout: 3_000 });
    wrong.on('error', () => undefined);
    await expect(wrong.get('key')).rejects.toMatchObject({
      name: 'ConnectionError',
      code: 'ERR_AUTHENTICATION_FAILED',
    });
    await wrong.close();

    const web = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const { port } = web.address() as { port: number };
    const lost = new RedisService({ host: '127.0.0.1', port, commandTimeout: 3_000 });
    lost.on('error', () => undefined);
    await expect(lost.get('key')).rejects.toMatchObject({ name: 'ConnectionError', code: 'ERR_PROTOCOL_VIOLATION' });
    await lost.close();
    await new Promise((resolve) => web.close(resolve));
  });
});

describe.skipIf(inMemory)('connection', () => {
  test('state and error are events', async () => {
    await using own = await RedisServer.start();
    const service = new RedisService({ host: own.host, port: own.port, retryStrategy: () => 20 });
    const [states, errors]: [string[], Error[]] = [[], []];
    service.on('state', (state) => states.push(state)).on('error', (error) => errors.push(error));
    await service.ping();
    expect(service.state).toBe('READY');
    await own.kill();
    await waitFor(() => states.includes('RECONNECTING'));
    await own.restart();
    await waitFor(() => service.state === 'READY');
    expect(await service.ping()).toBe('PONG');
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.every((error) => error.name === 'ConnectionError')).toBe(true);
    await service.close();
    expect(service.state).toBe('DISCONNECTED');
  });

  test('retryStrategy is asked with the number of attempts, and what it says is done', async () => {
    const port = await freePort();
    const asked: number[] = [];
    const service = new RedisService({
      host: '127.0.0.1',
      port,
      retryStrategy: (times) => {
        asked.push(times);
        return times < 4 ? 1 : null;
      },
    });
    service.on('error', () => undefined);
    await expect(service.get('key')).rejects.toMatchObject({ name: 'ConnectionError' });
    await waitFor(() => service.state === 'ERROR');
    expect(asked).toEqual([1, 2, 3, 4]);
    await service.close();
  });

  test('a retryStrategy that throws is an error event, and the default backoff goes on', async () => {
    const service = new RedisService({
      host: '127.0.0.1',
      port: await freePort(),
      retryStrategy: (times) => {
        if (times < 3) throw new Error(`strategy failed ${times}`);
        return undefined;
      },
    });
    const errors: Error[] = [];
    service.on('error', (error) => errors.push(error));
    await waitFor(() => service.state === 'ERROR');
    const own = errors.map((error) => error.message).filter((message) => message.startsWith('strategy'));
    expect(own).toEqual(['strategy failed 1', 'strategy failed 2']);
    await service.close();
  });
});

describe('close', () => {
  test('waits for the replies of calls made before', async () => {
    const service = open();
    const key = uniquePrefix('close');
    const calls = Array.from({ length: 500 }, () => service.incr(key));
    await service.close();
    expect(await Promise.all(calls)).toHaveLength(500);
    expect(await redis.get(key)).toBe('500');
  });

  test('twice is once', async () => {
    const service = open();
    await Promise.all([service.close(), service.close()]);
    await service.close();
    await service[Symbol.asyncDispose]();
  });

  test('refuses calls that come later, with the stack of who made them', async () => {
    const service = open();
    await service.close();
    async function lateCaller(): Promise<unknown> {
      return await service.get('key');
    }
    const error = (await lateCaller().catch((error: unknown) => error)) as Error;
    expect(error).toMatchObject({ name: 'ClosedError', code: 'ERR_CLOSED' });
    expect(error.stack).toContain('lateCaller');
    await expect(service.pipeline().get('key').exec()).resolves.toEqual([
      [expect.objectContaining({ code: 'ERR_CLOSED' }), null],
    ]);
  });

  test('before there is a connection does not wait for one', async () => {
    const service = new RedisService({ host: '127.0.0.1', port: await freePort() });
    service.on('error', () => undefined);
    const call = service.get('key').catch((error: { code: string }) => error.code);
    await service.close();
    expect(['ERR_CLOSED', 'ERR_CONNECTION_FAILED', 'ERR_CONNECTION_LOST']).toContain(await call);
  });

  test('leaves nothing in flight', async () => {
    await redis.ping();
    expect(door.pending).toBe(0);
  });
});
