// What the stored form of a processed job costs redis-server at least: only what a stock peer must find, with nothing checked,
// written by one script for 50 jobs and by plain commands in a pipeline. No queue with this stored form can need less.

import Redis from 'ioredis';
import { serverMicros } from '../harness/server-info.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const JOBS = 100_000;
const BATCH = 50;
const DATA = JSON.stringify({
  userId: 'user_2a9f',
  template: 'welcome',
  context: { name: 'Ada', link: 'https://example.org/confirm', locale: 'en' },
  requestedAt: '2026-02-07T10:00:00.000Z',
});
const TOKEN = '0b6f8f5c-1c1e-4ed5-9b6a-6d7a3a4f0c11:17';
const NOW = '1770458400000';

const SCRIPT = `
local call, prefix, token, now = redis.call, ARGV[1], ARGV[2], ARGV[3]
local events, active = prefix .. 'events', prefix .. 'active'
local ids, jobs, locks, ends = call('RPOP', prefix .. 'wait', ARGV[4]), {}, {}, {}
for index, id in ipairs(ids) do
  local key = prefix .. id
  locks[index], ends[2 * index - 1], ends[2 * index] = key .. ':lock', now, id
  jobs[index] = call('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority')
  call('SET', locks[index], token, 'PX', '30000')
  call('HSET', key, 'processedOn', now, 'ats', '1')
  call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
end
call('LPUSH', active, unpack(ids))
call('MGET', unpack(locks))
call('LTRIM', active, 0, -#ids - 1)
for _, id in ipairs(ids) do
  call('HSET', prefix .. id, 'returnvalue', 'null', 'finishedOn', now, 'atm', '1')
  call('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', 'null', 'prev', 'active')
end
call('DEL', unpack(locks))
call('SREM', prefix .. 'stalled', unpack(ids))
call('ZADD', prefix .. 'completed', unpack(ends))
call('XTRIM', events, 'MAXLEN', '~', '10000')
return jobs`;

const ways = {
  'one script, 50 jobs a call': (redis, prefix) => redis.eval(SCRIPT, 0, prefix, TOKEN, NOW, BATCH),
  'plain commands, 50 jobs a pipeline': (redis, prefix, ids) => {
    const keys = ids.map((id) => prefix + id);
    const locks = keys.map((key) => `${key}:lock`);
    const events = `${prefix}events`;
    const calls = redis.pipeline().rpop(`${prefix}wait`, BATCH);
    for (const [index, key] of keys.entries()) {
      calls.hmget(key, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority');
      calls.set(locks[index], TOKEN, 'PX', 30_000);
      calls.hset(key, 'processedOn', NOW, 'ats', '1');
      calls.xadd(events, '*', 'event', 'active', 'jobId', ids[index], 'prev', 'waiting');
    }
    calls.lpush(`${prefix}active`, ...ids).mget(...locks);
    calls.ltrim(`${prefix}active`, 0, -BATCH - 1);
    for (const [index, key] of keys.entries()) {
      calls.hset(key, 'returnvalue', 'null', 'finishedOn', NOW, 'atm', '1');
      const text = ['jobId', ids[index], 'returnvalue', 'null', 'prev', 'active'];
      calls.xadd(events, '*', 'event', 'completed', ...text);
    }
    calls.del(...locks).srem(`${prefix}stalled`, ...ids);
    calls.zadd(`${prefix}completed`, ...ids.flatMap((id) => [NOW, id]));
    return calls.xtrim(events, 'MAXLEN', '~', 10_000).exec();
  },
};

async function add(redis, prefix) {
  for (let first = 0; first < JOBS; first += 1000) {
    const calls = redis.pipeline();
    for (let id = first; id < first + 1000; id++) {
      const rest = ['opts', '{"attempts":0}', 'timestamp', NOW, 'delay', '0', 'priority', '0'];
      calls.hset(`${prefix}${id}`, 'name', 'send', 'data', DATA, ...rest).lpush(`${prefix}wait`, id);
    }
    await calls.exec();
  }
}

/** A table of the processor time of redis-server. */
export async function leastServerCpu(port, rounds) {
  const redis = new Redis(port, '127.0.0.1');
  const results = new Map(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(ways)) {
      await redis.flushall();
      const prefix = 'bull:floor:';
      await add(redis, prefix);
      const before = await serverMicros(port);
      for (let first = 0; first < JOBS; first += BATCH) {
        await run(
          redis,
          prefix,
          Array.from({ length: BATCH }, (_, index) => String(first + index)),
        );
      }
      const micros = ((await serverMicros(port)) - before) / JOBS;
      const left = await redis.llen(`${prefix}wait`);
      const done = await redis.zcard(`${prefix}completed`);
      if (left !== 0 || done !== JOBS)
        throw new Error(`expected ${JOBS} completed jobs, found ${done}, ${left} waiting`);
      results.get(name).push(micros);
    }
  }
  await redis.flushall();
  redis.disconnect();
  const rows = [...results].map(([name, micros]) => {
    const most = 1_000_000 / median(micros);
    return [name, withRange(micros, 1), format(most, 0)];
  });
  const title = 'the least that the stored form of a processed job costs redis-server';
  return `\n### ${title}\n\n${table(['written by', 'redis-server us/job', 'jobs/s of a server that does nothing else'], rows)}`;
}
