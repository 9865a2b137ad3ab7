// What is measured: the data of each scenario, and one operation of it.
const KILOBYTE = 'x'.repeat(1024);
const MEGABYTE = 'x'.repeat(1 << 20);
// Two, three and four bytes a character: none of them is Latin-1.
const UTF8 = 'Größe, 日本語のテキスト, ελληνικά, 🎉🚀 '.repeat(400);
const KEYS = Array.from({ length: 100 }, (_, index) => `mget:${index}`);

/** `fill` runs once with an ioredis-like `call`; `isRight` tells an answer by which all have done the same work. */
export const scenarios = {
  'pipeline of 100 mixed commands': {
    inFlight: 4,
    run: (client) => client.pipeline(),
    isRight: (reply) => reply.length === 100,
  },
  'MGET of 100 x 1 KB': {
    inFlight: 4,
    fill: (call) => Promise.all(KEYS.map((key) => call('SET', key, KILOBYTE))),
    run: (client) => client.mget(KEYS),
    isRight: (reply) => reply.length === 100 && reply[99].length === 1024,
  },
  'HGETALL of 1,000 fields': {
    inFlight: 4,
    fill: (call) => call('HSET', 'hash', ...fields(1000)),
    run: (client) => client.hgetall('hash'),
    isRight: (reply) => reply['field:999'] === 'value of field 999',
  },
  'LRANGE of 10,000': {
    inFlight: 2,
    fill: async (call) => {
      for (let part = 0; part < 10; part += 1) {
        await call('RPUSH', 'list', ...Array.from({ length: 1000 }, (_, index) => `element ${part * 1000 + index}`));
      }
    },
    run: (client) => client.lrange('list'),
    isRight: (reply) => reply.length === 10_000 && reply[9999] === 'element 9999',
  },
  'GET of 1 MB': {
    inFlight: 2,
    fill: (call) => call('SET', 'large', MEGABYTE),
    run: (client) => client.get('large'),
    isRight: (reply) => reply.length === MEGABYTE.length,
  },
  'SET of 1 MB': {
    inFlight: 2,
    run: (client) => client.set('large:set', MEGABYTE),
    isRight: (reply) => reply === 'OK',
  },
  'GET of 12,800 characters beyond Latin-1': {
    inFlight: 8,
    fill: (call) => call('SET', 'utf8', UTF8),
    run: (client) => client.get('utf8'),
    isRight: (reply) => reply === UTF8,
  },
  'SET of 12,800 characters beyond Latin-1': {
    inFlight: 8,
    run: (client) => client.set('utf8:set', UTF8),
    isRight: (reply) => reply === 'OK',
  },
};

function fields(count) {
  return Array.from({ length: count }, (_, index) => [`field:${index}`, `value of field ${index}`]).flat();
}
