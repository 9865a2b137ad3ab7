import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { type KeyAnalysis, Queue, RedisMonitoringService, RedisService } from '../ts/index.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';

let server: RedisServer;
let redis: RedisService;
let monitoring: RedisMonitoringService;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
  monitoring = new RedisMonitoringService({ redis: { url: server.url } });
});
afterAll(async () => {
  await monitoring.close();
  await redis.close();
  await server.stop();
});

const code = (value: string) => expect.objectContaining({ code: value });
/** More time than any machine needs. */
const patient = { timeBudgetMs: 120_000 };

describe('getInfo', () => {
  it('has the figures of the documents', async () => {
    await redis.set('info:key', 'value');
    await redis.get('info:key');
    const info = await monitoring.getInfo();
    expectTypeOf(info).toExtend<{
      version: string;
      uptime: number;
      connectedClients: number;
      usedMemory: number;
      maxMemory: number;
      memoryFragmentation: number;
      totalCommandsProcessed: number;
      opsPerSecond: number;
      keyspaceHits: number;
      keyspaceMisses: number;
      hitRate: number;
    }>();
    expect(info.version).toMatch(/^\d+\.\d+/);
    expect(info.connectedClients).toBeGreaterThan(0);
    expect(info.totalCommandsProcessed).toBeGreaterThan(1);
    expect(info.nodes).toHaveLength(1);
    if (inMemory) expect(info.unavailable).toContain('hitRate');
    else expect(info).toMatchObject({ unavailable: [], keyspaceHits: expect.any(Number) });
    if (!inMemory) expect(info.hitRate).toBeGreaterThan(0);
  });
});

describe('getMemoryUsage', () => {
  it('estimates each database', async () => {
    const other = new RedisService({ url: server.url, db: 5 });
    try {
      await other.set('of:another', 'x'.repeat(1_000));
      const databases = await monitoring.getMemoryUsage(patient);
      expectTypeOf(databases).toExtend<
        { db: number; keys: number; expires: number; avgTTL: number; memoryUsage: number }[]
      >();
      const fifth = databases.find(({ db }) => db === 5)!;
      expect(fifth).toMatchObject({ keys: 1, expires: 0, avgTTL: 0, estimated: true, margin: 0, measuredKeys: 1 });
      expect(fifth.memoryUsage).toBe(await other.call('MEMORY', 'USAGE', 'of:another'));
    } finally {
      await other.del('of:another');
      await other.close();
    }
  });
});

describe('getSlowQueries', () => {
  it('tells commands with their arguments, as dates and milliseconds', async () => {
    await redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
    await redis.set('slow:key', 'value');
    await redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
    const queries = await monitoring.getSlowQueries();
    expectTypeOf(queries).toExtend<
      { id: number; timestamp: Date; duration: number; command: string; args: string[] }[]
    >();
    const slow = queries.find(({ args }) => args[0] === 'slow:key')!;
    expect(slow).toMatchObject({ command: 'SET', args: ['slow:key', 'value'] });
    expect(slow.timestamp.getTime()).toBeGreaterThan(Date.now() - 600_000);
    expect(slow.duration).toBeLessThan(60_000);
    expect(await monitoring.getSlowQueries(1)).toHaveLength(1);
    for (const limit of [0, 1.5, 10_001]) {
      await expect(monitoring.getSlowQueries(limit)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    }
  });
});

describe('analyzeKeys', () => {
  it('finds patterns, sizes, times to live and big keys', async () => {
    for (let number = 0; number < 120; number++) {
      await redis.set(`user:profile:${number}`, 'x'.repeat(100), { ttl: 600 });
      await redis.set(`story:detail:${slug(number)}`, 'y');
    }
    await redis.set('report:2025-01-31', 'z'.repeat(50_000));
    const analysis = await monitoring.analyzeKeys(undefined, patient);
    expectTypeOf(analysis).toExtend<{
      totalKeys: number;
      patterns: { pattern: string; count: number; sampleKeys: string[]; avgSize: number }[];
    }>();
    const profiles = find(analysis, 'user:profile:{id}');
    expect(profiles).toMatchObject({ count: 120, countMargin: 0, measured: 120 });
    expect(profiles.sampleKeys).toHaveLength(5);
    expect(profiles.avgSize).toBe(await mean('user:profile:', 120));
    expect(find(analysis, 'story:detail:{id}').count).toBe(120);
    expect(find(analysis, 'report:{date}').count).toBe(1);
    expect(analysis.biggestKeys[0]).toMatchObject({ key: 'report:2025-01-31', type: 'string', ttl: null });
    expect(analysis.ttlGroups.find(({ name }) => name === 'below 1h')!.count).toBeGreaterThanOrEqual(120);
    expect(analysis).toMatchObject({ complete: true, confidence: { level: 0.95, scanned: 1 }, unavailable: [] });

    const some = await monitoring.analyzeKeys('user:*', { ...patient, maxPatterns: 1, biggestKeys: 0, samples: 10 });
    expect(some.patterns.map(({ pattern, count }) => [pattern, count])).toEqual([['user:profile:{id}', 120]]);
    expect(some.biggestKeys).toEqual([]);
    expect(some.measuredKeys).toBeLessThan(120);
  });

  it('tells what a queue takes', async () => {
    const queue = new Queue('mail', { connection: { url: server.url } });
    try {
      await queue.addBulk(Array.from({ length: 40 }, (_, n) => ({ name: 'welcome', data: { to: n } })));
      const { patterns, totalSize } = await monitoring.analyzeKeys('bull:mail:*', patient);
      const jobs = patterns[0]!;
      expect(jobs).toMatchObject({ pattern: 'bull:mail:{id}', count: 40, measured: 40 });
      expect(patterns.map(({ pattern }) => pattern)).toEqual(
        expect.arrayContaining(['bull:mail:wait', 'bull:mail:events', 'bull:mail:meta']),
      );
      expect(totalSize).toBeGreaterThan(jobs.totalSize);
    } finally {
      await queue.close();
    }
  });

  it('ends with its signal, and with the service', async () => {
    const reason = new Error('changed my mind');
    await expect(monitoring.analyzeKeys('*', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const running = monitoring.analyzeKeys('*', { ...patient, signal: controller.signal });
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    const measuring = monitoring.getMemoryUsage({ ...patient, signal: controller.signal });
    await expect(measuring).rejects.toBe(reason);

    const other = new RedisMonitoringService({ redis: { url: server.url } });
    const closed = expect(other.analyzeKeys('*', patient)).rejects.toEqual(code('ERR_CLOSED'));
    await other.close();
    await closed;
    await other.close();
    await expect(other.getInfo()).rejects.toEqual(code('ERR_CLOSED'));
    await expect(other.analyzeKeys()).rejects.toEqual(code('ERR_CLOSED'));
  });

  it('names what is wrong with its arguments', async () => {
    for (const [pattern, options, expected] of [
      [5, {}, 'ERR_INVALID_ARGUMENT'],
      ['', {}, 'ERR_INVALID_OPTION'],
      ['*', { timeBudgetMs: 1 }, 'ERR_INVALID_OPTION'],
      ['*', { samples: -1 }, 'ERR_INVALID_OPTION'],
      ['*', { maxPatterns: '5' }, 'ERR_INVALID_OPTION'],
      ['*', { biggestKeys: 1_001 }, 'ERR_INVALID_OPTION'],
      ['*', { pattern: 'x' }, 'ERR_INVALID_OPTION'],
      ['*', { signal: {} }, 'ERR_INVALID_OPTION'],
      ['*', null, 'ERR_INVALID_OPTION'],
    ] as [string, object, string][]) {
      await expect(monitoring.analyzeKeys(pattern, options), JSON.stringify(options)).rejects.toEqual(code(expected));
    }
    await expect(monitoring.getMemoryUsage({ samples: 1 })).rejects.toEqual(code('ERR_INVALID_OPTION'));
  });

  const find = ({ patterns }: KeyAnalysis, name: string) => patterns.find(({ pattern }) => pattern === name)!;

  async function mean(prefix: string, count: number): Promise<number> {
    let sum = 0;
    for (let n = 0; n < count; n++)
      sum += (await redis.call('MEMORY', 'USAGE', `${prefix}${n}`, 'SAMPLES', 5)) as number;
    return Math.round(sum / count);
  }
});

describe('getLatency', () => {
  it('tells percentiles where the server measures them', async () => {
    const { commands, unavailable } = await monitoring.getLatency();
    if (inMemory) {
      expect(unavailable).toEqual(['percentiles', 'events']);
    } else {
      const set = commands.find(({ command }) => command === 'SET')!;
      expect(set.calls).toBeGreaterThan(0);
      expect(set.averageMs).toBeGreaterThan(0);
      expect(set.percentiles['p99']).toBeGreaterThanOrEqual(set.percentiles['p50']!);
    }
  });
});

describe('getHealth', () => {
  it('is healthy, or says why not', async () => {
    const patientOne = new RedisMonitoringService({ redis: { url: server.url }, thresholds: { latencyMs: 60_000 } });
    expect(await patientOne.getHealth()).toMatchObject({ status: 'healthy', alerts: [], details: [] });
    expect(await patientOne.ping()).toBe('PONG');
    await patientOne.close();
  });

  it.skipIf(inMemory)('is unhealthy, and no error, when the server is gone', async () => {
    const gone = await RedisServer.start();
    const service = new RedisMonitoringService({
      redis: [{ url: gone.url, commandTimeout: 1_000 }, { url: server.url }],
      thresholds: { latencyMs: 60_000 },
    });
    service.on('error', () => undefined);
    try {
      expect((await service.getHealth()).nodes).toHaveLength(2);
      await gone.stop();
      const health = await service.getHealth();
      expect(health).toMatchObject({ status: 'unhealthy', alerts: ['REDIS_UNREACHABLE'] });
      expect(health.details[0]!.error).toMatch(/^ERR_/);
      expect(health.nodes.map(({ status }) => status)).toEqual(['unhealthy', 'healthy']);
      await expect(service.getInfo()).rejects.toEqual(expect.objectContaining({ retryable: true }));
    } finally {
      await service.close();
      await gone.stop();
    }
  });

  it('refuses options that it does not know', () => {
    const make = (options: object) => () => new RedisMonitoringService({ redis: { url: server.url }, ...options });
    expect(make({ other: 1 })).toThrow(code('ERR_INVALID_OPTION'));
    expect(make({ thresholds: { memory: 2 } })).toThrow(code('ERR_INVALID_OPTION'));
    expect(make({ thresholds: { other: 2 } })).toThrow(code('ERR_INVALID_OPTION'));
    expect(make({ thresholds: null })).toThrow(code('ERR_INVALID_OPTION'));
    expect(make({ redis: [] })).toThrow(code('ERR_INVALID_OPTION'));
    expect(make({ redis: [{ url: server.url }, { port: -1 }] })).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ option: 'redis[1].port' }) }),
    );
  });
});

/** Two words, others for each number. */
function slug(number: number): string {
  const words = ['red', 'old', 'last', 'long', 'wild', 'dark', 'brave', 'lost', 'quiet', 'golden', 'silver', 'small'];
  return `the-${words[number % 12]}-${words[Math.floor(number / 12) % 12]}-tale`;
}
