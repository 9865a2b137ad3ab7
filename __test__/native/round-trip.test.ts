// What goes in comes out: strings of all planes, bytes, every size at which the way through the door changes.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisService } from '../../ts/redis.js';
import { RedisServer } from '../helpers/redis-server.js';

let server: RedisServer;
let redis: RedisService;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ host: server.host, port: server.port });
});

afterAll(async () => {
  await redis?.close();
  await server?.stop();
});

/** Numbers that a seed decides (mulberry32), so that a failure can be seen again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Code points of one plane or kind each, so that every form of a string in V8 and on the way comes up. */
const kinds: ((below: (n: number) => number) => number)[] = [
  (below) => below(0x80),
  (below) => 0xa0 + below(0x60),
  (below) => 0x100 + below(0x700),
  (below) => 0x4e00 + below(0x5000),
  (below) => 0x1f300 + below(0x400),
  (below) => 0x20000 + below(0xa000),
  (below) => 0x100000 + below(0xfffd),
  (below) => 0xd800 + below(0x800),
  (below) => below(0x110000),
];

function randomText(below: (n: number) => number): string {
  const length = below(4) === 0 ? below(2_000) : below(40);
  const mixed = below(2) === 0;
  let kind = kinds[below(kinds.length)]!;
  let text = '';
  for (let index = 0; index < length; index++) {
    if (mixed) kind = kinds[below(kinds.length)]!;
    text += String.fromCodePoint(kind(below));
  }
  return text;
}

/** Two halves of a surrogate pair that came together by chance are a character; one alone becomes U+FFFD. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

test.each([1, 2, 3, 4])('text of all planes, alone, in lists and packed; seed %i', async (seed) => {
  const below = random(seed);
  const texts = Array.from({ length: 400 }, () => randomText(below));
  const expected = texts.map(wellFormed);
  expect(await Promise.all(texts.map((text) => redis.call('ECHO', text)))).toEqual(expected);
  const buffers = (await Promise.all(texts.map((text) => redis.callBuffer('ECHO', text)))) as Buffer[];
  expect(buffers.every((buffer, index) => buffer.equals(Buffer.from(texts[index]!)))).toBe(true);
  // Three times the list is more than loose arguments may be.
  const key = `texts:${seed}`;
  await redis.call('DEL', key);
  expect(await redis.call('RPUSH', key, ...texts, ...texts, ...texts)).toBe(1_200);
  expect(await redis.call('LRANGE', key, 0, 399)).toEqual(expected);
  expect(await redis.call('LRANGE', key, 0, -1)).toEqual([...expected, ...expected, ...expected]);
});

test.each([0, 1, 9, 10, 11, 99, 100, 101, 507, 508, 509, 511, 512, 513, 999, 1_000, 4_096, 65_537])(
  'strings of %i characters, one, two, three and four bytes each',
  async (length) => {
    for (const character of ['x', 'é', '日', '😀']) {
      const text = character.repeat(length);
      expect(await redis.call('ECHO', text)).toBe(text);
      // One character of another width at the end, where a buffer that is too short would cut.
      expect(await redis.call('ECHO', `${text}😀`)).toBe(`${text}😀`);
    }
  },
);

test('bytes that are no text come back as bytes; read as text, they become U+FFFD as in TextDecoder', async () => {
  const below = random(5);
  for (let round = 0; round < 200; round++) {
    const bytes = Buffer.from(Array.from({ length: below(300) }, () => below(256)));
    expect(await redis.callBuffer('ECHO', bytes)).toEqual(bytes);
    expect(await redis.call('ECHO', bytes)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
  }
});

test('views of a larger buffer are read where they begin and end', async () => {
  const whole = Buffer.from('0123456789');
  expect(await redis.call('ECHO', whole.subarray(3, 6))).toBe('345');
  expect(await redis.call('ECHO', new Uint8Array(whole.buffer, whole.byteOffset + 8, 2))).toBe('89');
  expect(await redis.call('ECHO', new Uint8Array(0))).toBe('');
  const many = Array.from({ length: 1_500 }, (_, index) => whole.subarray(index % 10, (index % 10) + 1));
  await redis.call('DEL', 'views');
  await redis.call('RPUSH', 'views', ...many);
  expect(await redis.call('LRANGE', 'views', 0, -1)).toEqual(many.map(String));
});

test('values of a megabyte and more, text and bytes, many at once', async () => {
  const values = ['x', 'é', '日', '😀'].map((character, index) => character.repeat((1 << 20) + index));
  await Promise.all(values.map((value, index) => redis.set(`large:${index}`, value)));
  expect(await Promise.all(values.map((_, index) => redis.get(`large:${index}`)))).toEqual(values);
  const bytes = Buffer.alloc(8 << 20, 7);
  await redis.set('large:bytes', bytes);
  expect((await redis.getBuffer('large:bytes'))?.equals(bytes)).toBe(true);
});

test('a command of 100,000 arguments, and a reply of as many', async () => {
  const items = Array.from({ length: 100_000 }, (_, index) => (index % 7 === 0 ? index : `item ${index} é`));
  await redis.call('DEL', 'many');
  expect(await redis.call('RPUSH', 'many', ...items)).toBe(items.length);
  expect(await redis.call('LRANGE', 'many', 0, -1)).toEqual(items.map(String));
});

test('numbers travel as their shortest decimal text', async () => {
  for (const number of [0, -0, 1, -1.5, 0.1, 1e21, 2 ** 53, Number.MAX_VALUE, 12345678901234567890n, Infinity]) {
    expect(await redis.call('ECHO', number)).toBe(String(number));
  }
});
