import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import * as oxcart from '../ts/index.js';
import { Cacheable, CacheEvict, CachePut, CacheService, setDefaultCacheService } from '../ts/index.js';
import type * as Fixture from './fixtures/documents/profile-service.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

const root = join(import.meta.dirname, '..');
const path = join(import.meta.dirname, 'fixtures', 'documents', 'profile-service.ts');

let server: RedisServer;
let cache: CacheService;

beforeAll(async () => {
  server = await RedisServer.start();
  cache = new CacheService({ redis: { url: server.url }, prefix: `${uniquePrefix('decorators')}:` });
});
afterEach(async () => {
  setDefaultCacheService(undefined);
  await cache.flush();
});
afterAll(async () => {
  await cache.close();
  await server.stop();
});

/** The classes of the fixture, compiled for one kind of decorators. */
async function compiled(experimentalDecorators: boolean): Promise<typeof Fixture> {
  const { outputText } = ts.transpileModule(await readFile(path, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, experimentalDecorators },
  });
  // What one kind of decorator is compiled to does not look like the other.
  expect(outputText.includes('__esDecorate')).toBe(!experimentalDecorators);
  const exported = {};
  new Function('require', 'exports', outputText)(() => oxcart, exported);
  return exported as typeof Fixture;
}

class Repository implements Fixture.UserRepository {
  readonly names = new Map([['7', 'Ann']]);
  readonly findById = vi.fn(async (id: string) => {
    const name = this.names.get(id);
    return name === undefined ? null : { id, name, visits: 0 };
  });
  async rename(id: string, name: string): Promise<Fixture.UserProfile> {
    this.names.set(id, name);
    return { id, name, visits: 1 };
  }
}

describe.each([
  ['experimentalDecorators', true],
  ['decorators of the language', false],
])('%s', (_, isLegacy) => {
  it('type-check strictly', { timeout: 60_000 }, () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.check.json'), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
    options.experimentalDecorators = isLegacy;
    const program = ts.createProgram([path], options);
    const found = ts.getPreEmitDiagnostics(program, program.getSourceFile(path));
    expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  });

  it('@Cacheable runs the method once for all who ask, with its `this`', async () => {
    const { UserService } = await compiled(isLegacy);
    const repository = new Repository();
    const users = new UserService(cache, repository);
    const found = await Promise.all(Array.from({ length: 10 }, () => users.getUserProfile('7')));
    expect(found).toEqual(Array(10).fill({ id: '7', name: 'Ann', visits: 0 }));
    expect(repository.findById).toHaveBeenCalledOnce();
    expect(await cache.getRedis('user:profile:7')).toEqual({ id: '7', name: 'Ann', visits: 0 });
    expect(await cache.ttl('user:profile:7')).toBe(3600);
    expect(await users.getUserProfile('nobody')).toBeNull();
    expect(await cache.exists('user:profile:nobody')).toBe(false);
    const { name, length } = UserService.prototype.getUserProfile;
    expect([name, length]).toEqual(['getUserProfile', 1]);
  });

  it('makes keys of the arguments', async () => {
    const { UserService } = await compiled(isLegacy);
    const users = new UserService(cache, new Repository());
    expect(await users.search({ name: '7' }, 2)).toEqual(['Ann', 'Ann']);
    expect(await users.search({ name: '7' }, 1)).toEqual(['Ann']);
    expect(await cache.get('user:search:[{"name":"7"},2]')).toEqual(['Ann', 'Ann']);
    const long = 'x'.repeat(2_000);
    expect(await users.search({ name: long }, 1)).toEqual(['nobody']);
    expect(await users.search({ name: `${long}y` }, 2)).toEqual(['nobody', 'nobody']);
    expect((await cache.getStats()).keyCount).toBe(4);
  });

  it('@CachePut and @CacheEvict keep what @Cacheable serves right', async () => {
    const { UserService } = await compiled(isLegacy);
    const repository = new Repository();
    const users = new UserService(cache, repository);
    await users.getUserProfile('7');
    await users.rename('7', 'Bob');
    expect(await users.getUserProfile('7')).toEqual({ id: '7', name: 'Bob', visits: 1 });
    expect(await users.forget('7')).toBe('forgot 7');
    expect(await users.getUserProfile('7')).toEqual({ id: '7', name: 'Bob', visits: 0 });
    await users.search({ name: '7' }, 1);
    await expect(users.reindex()).rejects.toThrow('no index');
    expect(await cache.exists('user:search:[{"name":"7"},1]')).toBe(false);
    await users.search({ name: '7' }, 1);
    await users.touch('7');
    expect(await cache.mget(['user:profile:7', 'user:search:[{"name":"7"},1]'])).toEqual([null, null]);
    // After a method that failed, the entry is what it was.
    await cache.set('user:profile:', 'there');
    await expect(users.forget('')).rejects.toThrow('whom?');
    expect(await cache.get('user:profile:')).toBe('there');
  });

  it('take the default cache where the instance has none', async () => {
    const { UserService } = await compiled(isLegacy);
    const users = new UserService(undefined, new Repository());
    await expect(users.getUserProfile('7')).rejects.toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('setDefaultCacheService'),
      }),
    );
    setDefaultCacheService(cache);
    await users.getUserProfile('7');
    expect(await cache.exists('user:profile:7')).toBe(true);
  });
});

describe('what is wrong is told', () => {
  const any = (options: unknown) => options as any;

  it('when the class is defined', () => {
    for (const [option, make] of [
      ['keyPrefix', () => Cacheable(any({}))],
      ['keyPrefix', () => CachePut(any({ keyPrefix: '' }))],
      ['ttl', () => Cacheable({ keyPrefix: 'a', ttl: 0 })],
      ['key', () => Cacheable(any({ keyPrefix: 'a', key: 'b' }))],
      ['keyGenerator', () => Cacheable(any({ keyPrefix: 'a', keyGenerator: 'b' }))],
      ['tags', () => CachePut(any({ keyPrefix: 'a', tags: 'b' }))],
      ['keyPrefix', () => CacheEvict({})],
      ['allEntries', () => CacheEvict({ allEntries: true, tags: ['a'] })],
    ] as const) {
      expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }));
    }
    const decorate: any = Cacheable({ keyPrefix: 'a' });
    expect(() => decorate(class {}, { kind: 'class' })).toThrow('a method');
    expect(() => decorate({}, 'name', { get: () => 1 })).toThrow('a method');
  });

  it('when arguments make no key', async () => {
    class Service {
      readonly cacheService = cache;
    }
    const decorate: any = Cacheable({ keyPrefix: 'a' });
    const method = decorate(async () => 1, { kind: 'method' });
    const circle: { self?: object } = {};
    circle.self = circle;
    for (const argument of [() => 1, Symbol('s'), new Map(), 1n, circle]) {
      await expect(method.call(new Service(), argument)).rejects.toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining('keyGenerator') }),
      );
    }
    const generated: any = Cacheable({ keyPrefix: 'a', keyGenerator: any(() => undefined) });
    await expect(generated(async () => 1, { kind: 'method' }).call(new Service())).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    );
  });
});
