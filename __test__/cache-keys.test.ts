import { describe, expect, it } from 'vitest';
import { buildKey, CacheKeyBuilder, defineTtls, hashKey } from '../ts/cache/key-builder.js';

const badArgument = (argument: string) =>
  expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', details: expect.objectContaining({ argument }) });

describe('buildKey', () => {
  it('fills in what a pattern names', () => {
    expect(buildKey('catalog:list:{category}:{page}', { category: 'coats', page: 2 })).toBe('catalog:list:coats:2');
    const patterns: { userProfile: string } = { userProfile: 'user:profile:{userId}' };
    expect(buildKey(patterns.userProfile, { userId: '123' })).toBe('user:profile:123');
  });

  it('refuses a name without a value instead of writing "undefined"', () => {
    expect(() => buildKey('a:{b}', {} as never)).toThrow(badArgument('params.b'));
    expect(() => buildKey('a:{b}', { b: null } as never)).toThrow(badArgument('params.b'));
  });
});

describe('hashKey', () => {
  it('depends on the parameters and not on their order', () => {
    const key = hashKey('/products', { sort: 'price', filter: { b: 1, a: [1, 2] } });
    expect(key).toMatch(/^api:\/products:[0-9a-f]{32}$/);
    expect(hashKey('/products', { filter: { a: [1, 2], b: 1 }, sort: 'price' })).toBe(key);
    expect(hashKey('/products', { filter: { a: [2, 1], b: 1 }, sort: 'price' })).not.toBe(key);
    expect(hashKey('/products', undefined)).not.toBe(key);
    expect(hashKey('/x', { at: new Date(0) })).not.toBe(hashKey('/x', { at: new Date(1) }));
  });
});

describe('defineTtls', () => {
  it('keeps the names and refuses what is no life', () => {
    const ttls = defineTtls({ STORY_DETAIL: 3600, RATE_LIMIT: 60 });
    expect(ttls.STORY_DETAIL).toBe(3600);
    expect(Object.isFrozen(ttls)).toBe(true);
    for (const seconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5' as never]) {
      expect(() => defineTtls({ BAD: seconds })).toThrow(badArgument('BAD'));
    }
  });
});

describe('CacheKeyBuilder', () => {
  class Keys extends CacheKeyBuilder {
    static override prefix = 'sc';
  }

  it('writes sorted identifiers and the variant', () => {
    expect(Keys.build({ entity: 'story', operation: 'detail', identifiers: { slug: 'my-story' } })).toBe(
      'sc:story:detail:slug=my-story',
    );
    expect(
      Keys.build({ entity: 'chapter', operation: 'detail', identifiers: { z: 1, a: 'x' }, variant: 'published' }),
    ).toBe('sc:chapter:detail:a=x:z=1:published');
  });

  it('keeps different identifiers apart', () => {
    const build = (identifiers: Record<string, string>) => Keys.build({ entity: 'e', operation: 'o', identifiers });
    expect(build({ a: '1:b=2' })).not.toBe(build({ a: '1', b: '2' }));
    expect(build({ a: '1%3A' })).not.toBe(build({ a: '1:' }));
  });

  it('makes patterns of an entity, an operation or everything', () => {
    expect(Keys.pattern({ entity: 'story' })).toBe('sc:story:*');
    expect(Keys.pattern({ entity: 'story', operation: 'list' })).toBe('sc:story:list:*');
    expect(Keys.pattern({})).toBe('sc:*');
    expect(CacheKeyBuilder.pattern()).toBe('*');
    expect(CacheKeyBuilder.build({ entity: 'a', operation: 'b' })).toBe('a:b');
    expect(Keys.pattern({ entity: 'a*' })).toBe('sc:a\\*:*');
  });

  it('takes the prefix of the application for all', () => {
    CacheKeyBuilder.prefix = 'app';
    try {
      expect(CacheKeyBuilder.build({ entity: 'a', operation: 'b' })).toBe('app:a:b');
    } finally {
      CacheKeyBuilder.prefix = '';
    }
  });
});
