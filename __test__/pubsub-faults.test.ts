import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { PubSubService } from '../ts/pubsub-service.js';
import type { MessageGap } from '../ts/types/pubsub-types.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

const CHANNELS = 10_000;
const SLOW = 10;
const MOST_PENDING = 50;
const MOST_BYTES = 1_000_000;
const CUT_EVERY_MS = 100;
const CUTS = 15;
const PATIENCE = { timeoutMs: 60_000 };

test.skipIf(inMemory)(
  '10,000 channels, slow handlers and a connection cut every 100 ms',
  { timeout: 120_000 },
  async () => {
    const server = await RedisServer.start();
    const proxy = await FlakyProxy.start({ port: server.port });
    const publisher = new PubSubService({ redis: { url: server.url } });
    const subscriber = new PubSubService({
      redis: { host: proxy.host, port: proxy.port, retryStrategy: () => 10 },
      maxPendingMessages: MOST_PENDING,
      maxTotalPendingBytes: MOST_BYTES,
      overflow: 'drop-oldest',
    });
    subscriber.on('error', () => undefined);
    const gaps: MessageGap[] = [];
    subscriber.on('gap', (gap) => gaps.push(gap));

    // By channel: the last number that was handled, and how many were skipped before it.
    const last = new Int32Array(CHANNELS).fill(-1);
    const sent = new Int32Array(CHANNELS);
    let missed = 0;
    const wrong: string[] = [];
    const heard = (channel: number, number: number) => {
      if (number <= last[channel]!) wrong.push(`channel ${channel}: ${number} after ${last[channel]}`);
      missed += number - last[channel]! - 1;
      last[channel] = number;
    };
    const slow = async (channel: number, number: number) => {
      await sleep(5);
      heard(channel, number);
    };
    const all = Array.from({ length: CHANNELS }, (_, channel) => channel);
    await Promise.all(
      all.map((channel) =>
        subscriber.subscribe({
          channel: `c${channel}`,
          handler: (number: number) => (channel < SLOW ? slow(channel, number) : heard(channel, number)),
        }),
      ),
    );
    const publish = (channels: number[]) =>
      Promise.all(channels.map((channel) => publisher.publish({ channel: `c${channel}`, message: sent[channel]!++ })));

    // More than the slow ones can hold, while all is well.
    await publish(Array.from({ length: 200 * SLOW }, (_, n) => n % SLOW));
    let cutting = true;
    const flood = (async () => {
      for (let at = 0; cutting; at = (at + 500) % CHANNELS) {
        await publish([...all.slice(at, at + 500), ...Array.from({ length: 200 }, (_, n) => n % SLOW)]);
        const { subscriptions } = await subscriber.getStats();
        const most = Math.max(...subscriptions.map(({ pending }) => pending));
        const bytes = subscriptions.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0);
        if (most > MOST_PENDING || bytes > MOST_BYTES) wrong.push(`${most} messages, ${bytes} bytes wait`);
      }
    })();
    for (let cut = 0; cut < CUTS; cut++) {
      await sleep(CUT_EVERY_MS);
      proxy.cut();
    }
    cutting = false;
    await flood;

    // Every subscription is back: what is published now arrives, on each channel.
    await waitFor(async () => (await subscriber.getStats()).reconnections > 0, PATIENCE);
    await waitFor(async () => {
      const silent = all.filter((channel) => last[channel]! < sent[channel]! - 1);
      await publish(silent.filter((channel) => channel >= SLOW));
      await publish(all.slice(0, SLOW));
      await sleep(50);
      return all.every((channel) => channel < SLOW || last[channel] === sent[channel]! - 1);
    }, PATIENCE);
    await waitFor(() => all.every((channel) => last[channel] === sent[channel]! - 1), PATIENCE);
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(missed).toBeGreaterThan(0);
    expect(gaps.filter(({ reason }) => reason === 'reconnected')).not.toEqual([]);
    expect(gaps.flatMap((gap) => (gap.reason === 'reconnected' ? gap.lost : []))).toEqual([]);
    // What was dropped for slowness is counted, and told of to the last one.
    await waitFor(
      async () => (await subscriber.getStats()).subscriptions.every(({ pending }) => pending === 0),
      PATIENCE,
    );
    const { subscriptions } = await subscriber.getStats();
    const dropped = subscriptions.reduce((sum, one) => sum + one.dropped, 0);
    const told = gaps.reduce((sum, gap) => sum + (gap.reason === 'overflow' ? gap.dropped : 0), 0);
    expect(dropped).toBeGreaterThan(0);
    expect(told).toBe(dropped);
    expect(dropped).toBeLessThanOrEqual(missed);

    await Promise.all([subscriber.close(), publisher.close()]);
    await proxy.stop();
    await server.stop();
  },
);
