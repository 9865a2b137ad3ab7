import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HotView } from '../ts/cache/hot-view.js';
import { decode, encode, freeze } from '../ts/cache/values.js';

const SWEEP = 0;
const epochs = new Int32Array(64);
const clock = {
  at: 1_000,
  now() {
    return this.at;
  },
};

function view(maxEntries = 4, maxBytes = 1_000_000): HotView {
  return new HotView({ epochs, sweep: SWEEP, maxEntries, maxBytes, clock });
}

const content = (value: string, bytes: number) => ({ value, text: undefined, promise: Promise.resolve(value), bytes });

function put(hot: HotView, key: string, shard = 1, tags?: number[], bytes = 10): void {
  let stamp = epochs[shard]! + epochs[SWEEP]!;
  for (const tag of tags ?? []) stamp += epochs[tag]!;
  hot.set(key, content(key, bytes), { shard, tags, stamp: stamp | 0 }, 60_000);
}

const held = (hot: HotView, keys: string) => [...keys].filter((key) => hot.get(key) !== undefined).join('');

describe('HotView', () => {
  it('ends an entry when the epoch of its key, of the sweep or of a tag moves', () => {
    const hot = view();
    for (const shard of [1, SWEEP, 7]) {
      put(hot, 'a', 1, [5, 7]);
      put(hot, 'b', 2);
      expect(hot.get('a')?.value).toBe('a');
      epochs[shard]!++;
      expect(hot.get('a')).toBeUndefined();
      expect(hot.get('b') === undefined).toBe(shard === SWEEP);
    }
  });

  it('does not keep a value that was invalidated while it was loaded', () => {
    const hot = view();
    const stamp = (epochs[1]! + epochs[SWEEP]!) | 0;
    epochs[1]!++;
    hot.set('late', content('late', 1), { shard: 1, tags: undefined, stamp }, 60_000);
    expect(hot.size).toBe(0);
  });

  it('goes on when an epoch wraps', () => {
    const hot = view();
    epochs[9] = 0x7fff_ffff;
    put(hot, 'a', 9);
    expect(hot.get('a')).toBeDefined();
    epochs[9] = (epochs[9]! + 1) | 0;
    expect(hot.get('a')).toBeUndefined();
    put(hot, 'a', 9, [9]);
    expect(hot.get('a')).toBeDefined();
  });

  it('ends an entry when its life is over', () => {
    const hot = view();
    put(hot, 'a');
    clock.at += 59_999;
    expect(hot.get('a')).toBeDefined();
    clock.at += 1;
    expect(hot.get('a')).toBeUndefined();
    expect(hot.size).toBe(0);
  });

  it('evicts the oldest entry that was not read since the hand passed', () => {
    const hot = view(4);
    for (const key of 'abcd') put(hot, key);
    hot.get('a');
    hot.get('c');
    put(hot, 'e'); // passes a, takes b
    expect(hot.size).toBe(4);
    put(hot, 'f'); // passes c, takes d
    expect(held(hot, 'abcdef')).toBe('acef');
  });

  it('keeps what is read through a scan of keys that are read once', () => {
    const hot = view(8);
    for (const key of 'abcd') put(hot, key);
    for (let n = 0; n < 100; n++) {
      for (const key of 'abcd') hot.get(key);
      put(hot, `scan-${n}`);
    }
    expect(held(hot, 'abcd')).toBe('abcd');
  });

  it('is bounded by approximate bytes, and refuses what does not fit at all', () => {
    const hot = view(1_000, 10_000);
    for (let n = 0; n < 200; n++) put(hot, `key-${n}`, 1, undefined, 500);
    expect(hot.bytes).toBeLessThanOrEqual(10_000);
    expect(hot.size).toBeGreaterThan(5);
    put(hot, 'huge', 1, undefined, 20_000);
    expect(hot.get('huge')).toBeUndefined();
  });

  it('counts right through replacing, deleting and clearing', () => {
    const hot = view(3);
    for (const key of 'aabbccab') put(hot, key);
    expect(hot.size).toBe(3);
    hot.delete('b');
    hot.delete('b');
    for (const key of 'defghi') put(hot, key);
    expect(hot.size).toBe(3);
    hot.clear();
    expect([hot.size, hot.bytes]).toEqual([0, 0]);
    put(hot, 'z');
    expect(held(hot, 'z')).toBe('z');
  });

  it('keeps nothing when it may hold no entry', () => {
    const hot = view(0);
    put(hot, 'a');
    expect(hot.get('a')).toBeUndefined();
  });
});

describe('CoarseClock', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** One that notes the time and the timers as they are faked now, as the package does when it is loaded. */
  async function coarseClock() {
    vi.resetModules();
    const { CoarseClock } = await import('../ts/cache/coarse-clock.js');
    return new CoarseClock();
  }

  it('looks at the time once for 16 readings, and again after a tick', async () => {
    const look = vi.spyOn(Date, 'now');
    const coarse = await coarseClock();
    look.mockClear();
    const start = coarse.now();
    for (let n = 1; n < 16; n++) coarse.now();
    expect(look).toHaveBeenCalledTimes(1);
    coarse.now();
    expect(look).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(20);
    expect(coarse.now()).toBe(start + 20);
    look.mockRestore();
  });

  it('stops its timer when nobody reads it, and is right when it is read again', async () => {
    const coarse = await coarseClock();
    const start = coarse.now();
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
    expect(coarse.now()).toBe(start + 100);
  });
});

describe('values', () => {
  it('survive as JSON, and foreign text is a string', () => {
    for (const value of ['', 0, false, 'text', { a: [1, null] }]) expect(decode(encode('k', value))).toEqual(value);
    expect(decode('plain text')).toBe('plain text');
  });

  it('that JSON cannot write are refused with the key', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    for (const value of [circular, 1n, () => 1, Symbol('s')]) {
      expect(() => encode('k', value)).toThrow(
        expect.objectContaining({ code: 'ERR_NOT_SERIALIZABLE', details: { key: 'k' } }),
      );
    }
  });

  it('are frozen all the way down, up to a bound', () => {
    const value = freeze({ list: [{ deep: 1 }] });
    expect(() => {
      value.list[0]!.deep = 2;
    }).toThrow(TypeError);
    const wide = freeze(Array.from({ length: 20_000 }, () => ({ x: 1 })));
    expect(wide.filter((item) => Object.isFrozen(item)).length).toBeLessThan(10_001);
  });
});
