// Every method of RedisService beside the same command sent raw by ioredis to a real Redis: the same data, the same random
// arguments, the same reply and the same error. `OXCART_DIFFERENTIAL_SEED` repeats a run, `OXCART_DIFFERENTIAL_ROUNDS` makes
// it longer.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMAND_ROWS, type Decoder } from '../ts/redis/commands/rows.js';
import { RedisService } from '../ts/redis.js';
import { CALLS, type Call, DUMPED, Random, SEED } from './helpers/redis-calls.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';

const SEEDED = Number(process.env['OXCART_DIFFERENTIAL_SEED'] ?? Date.now() % 1_000_000_000);
const ROUNDS = Number(process.env['OXCART_DIFFERENTIAL_ROUNDS'] ?? 12);

/** What differs from one call to the next by nature. */
const LOOSE = new Set(['randomkey', 'time', 'info', 'lolwut', 'lastsave']);
/** Times, which pass between the two calls. */
const TIMES = new Set(['ttl', 'pttl', 'expiretime', 'pexpiretime']);
/** Replies without an order of their own. */
const UNORDERED = new Set([
  ...['keys', 'smembers', 'sunion', 'sinter', 'sdiff', 'spop', 'srandmember', 'hkeys', 'hvals', 'hrandfield'],
  ...['zrandmember', 'scan', 'sscan', 'hscan', 'zscan'],
]);
/** What the engine in this process does not have. */
const NOT_EMBEDDED = new Set(['fcall', 'fcall_ro', 'function', 'latency', 'lolwut', 'role']);
/** What it says of itself, in its own way: its memory, its encodings, its form of dumps. */
const OWN_WAY = new Set(['dump', 'memory', 'object']);

const waits = (method: string, given: readonly unknown[]): boolean =>
  COMMAND_ROWS.some(([name, , , , , , blocks]) => name === method && blocks) || given.includes('BLOCK');

/** What a method makes of a reply, said once more. */
function expected(decoder: Decoder, reply: any): unknown {
  switch (decoder) {
    case 'bool':
      return reply === 1;
    case 'bools':
      return reply.map((one: number) => one === 1);
    case 'number':
      return typeof reply === 'string' || Buffer.isBuffer(reply) ? numberOf(String(reply)) : reply;
    case 'numbers':
      return reply.map((one: unknown) => (one === null ? null : numberOf(String(one))));
    case 'map':
      return Array.isArray(reply)
        ? Object.fromEntries(
            Array.from({ length: reply.length / 2 }, (_, at) => [String(reply[2 * at]), reply[2 * at + 1]]),
          )
        : reply;
    default:
      return reply;
  }
}

const numberOf = (text: string): number =>
  /^-?inf$/.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);

type Outcome = { value: unknown } | { error: string };

/** Within a deadline, so that a call that is never answered has a name. */
async function outcome(run: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { value: await within(run()) };
  } catch (error) {
    // What aborted a transaction is the cause of its error.
    return { error: (((error as Error).cause ?? error) as Error).message };
  }
}

async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), 20_000);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const sorted = (value: unknown): unknown =>
  Array.isArray(value) ? value.map(sorted).sort((a, b) => String(a).localeCompare(String(b))) : value;

let server: RedisServer;
let raw: Redis;

beforeAll(async () => {
  // There is nothing to compare with where suites run without a server.
  if (inMemory) return;
  server = await RedisServer.start();
  raw = new Redis({ port: server.port, host: server.host, db: 1, protocol: 2 });
  await raw.call('SET', 'hello', 'hello');
  DUMPED.value = Buffer.from((await raw.callBuffer('DUMP', 'hello')) as Buffer);
});

afterAll(async () => {
  raw?.disconnect();
  await server?.stop();
});

async function seed(service: RedisService): Promise<void> {
  await service.flushdb();
  await service.script('FLUSH');
  await raw.call('SCRIPT', 'FLUSH');
  await raw.call('FLUSHDB');
  for (const [command, ...args] of SEED as [string, ...string[]][]) {
    await service.call(command, ...args);
    await raw.call(command, ...args);
  }
}

/** One call in one of the ways in which it can be made. */
async function both(
  service: RedisService,
  prefix: string,
  row: (typeof COMMAND_ROWS)[number],
  random: Random,
): Promise<void> {
  const [method, , , decoder, hasBuffers] = row;
  const made = CALLS[method]!(random);
  const { given, words = given }: Call = Array.isArray(made) ? { given: made } : made;
  const ways = ['method', ...(hasBuffers ? ['buffer'] : []), ...(waits(method, given) ? [] : ['pipeline', 'multi'])];
  // By hand, and not for many at once.
  const way = ['keys', 'randomkey'].includes(method) ? 'method' : random.of(ways);
  const name = way === 'buffer' ? `${method}Buffer` : method;
  const answer = await outcome(async () => {
    if (way === 'method' || way === 'buffer') return (service as any)[name](...given);
    const chain: any = way === 'pipeline' ? service.pipeline() : service.multi();
    const results = await chain[name](...given).exec();
    if (results[0][0]) throw results[0][0];
    return results[0][1];
  });
  // Messages of the server have the keys that it was sent.
  const ours = 'error' in answer ? { error: answer.error.replaceAll(prefix, '') } : answer;
  const command = method.toUpperCase();
  const args = words.map((word) => (Buffer.isBuffer(word) ? word : String(word)));
  const theirs = await outcome(async () =>
    expected(decoder, await (way === 'buffer' ? raw.callBuffer(command, args) : raw.call(command, args))),
  );
  if ('error' in ours && ours.error === 'no answer') console.error(method, given);
  const told = `seed ${SEEDED}: ${way} ${method}(${JSON.stringify(given, (_, one) => (typeof one === 'bigint' ? String(one) : one))})`;
  if (LOOSE.has(method)) {
    expect('error' in ours, told).toBe('error' in theirs);
  } else if (TIMES.has(method) && 'value' in ours && 'value' in theirs && Number(theirs.value) > 0) {
    const slack = method.startsWith('p') ? 30_000 : 30;
    expect(Math.abs(Number(ours.value) - Number(theirs.value)), told).toBeLessThan(slack);
  } else if (UNORDERED.has(method)) {
    expect(sorted('value' in ours ? ours.value : ours), told).toEqual(
      sorted('value' in theirs ? theirs.value : theirs),
    );
  } else {
    expect(withoutTimes(ours), told).toEqual(withoutTimes(theirs));
  }
}

/** How long something has been idle is not the same a moment later. */
function withoutTimes(reply: unknown): unknown {
  if (!Array.isArray(reply)) {
    if (typeof reply !== 'object' || reply === null || Buffer.isBuffer(reply)) return reply;
    return Object.fromEntries(Object.entries(reply).map(([name, value]) => [name, withoutTimes(value)]));
  }
  return reply.map((one, at) =>
    ['idle', 'inactive', 'seen-time', 'active-time'].includes(String(reply[at - 1])) ? 0 : withoutTimes(one),
  );
}

test('every command has calls here', () => {
  expect(Object.keys(CALLS).sort()).toEqual(COMMAND_ROWS.map(([method]) => method).sort());
});

test('what the engine in this process does not have, it refuses', async () => {
  await using service = new RedisService({ url: `memory://refusing-${SEEDED}` });
  for (const method of NOT_EMBEDDED) {
    await expect(service.call(method), method).rejects.toThrow(/unknown command/);
  }
});

describe.skipIf(inMemory).each([
  ['redis', ''],
  // Everything is as without one, but for the names on the server.
  ['redis', 'app?[1]\\^:'],
  ['memory', ''],
])('on %s with the prefix "%s"', (engine, prefix) => {
  let service: RedisService;

  beforeAll(async () => {
    const url = engine === 'redis' ? server.url : `memory://differential-${SEEDED}`;
    service = new RedisService({ url, keyPrefix: prefix });
    await service.flushall();
    await raw.call('FLUSHALL');
  });
  afterAll(() => service?.close());

  const rows = COMMAND_ROWS.filter(([method]) =>
    engine === 'redis' ? prefix === '' || method !== 'memory' : !NOT_EMBEDDED.has(method) && !OWN_WAY.has(method),
  );
  test('each method gives what its command gives', { timeout: 240_000 }, async () => {
    const random = new Random(SEEDED);
    const failures: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await seed(service);
      for (const row of rows) {
        try {
          await both(service, prefix, row, random);
        } catch (error) {
          failures.push((error as Error).message);
          await seed(service);
        }
        // What empties everything would leave nothing to compare.
        if (row[0].startsWith('flush')) await seed(service);
      }
    }
    expect(failures).toEqual([]);
  });
});
