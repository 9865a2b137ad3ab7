import * as stock from 'bullmq';
import * as ours from '../../ts/compat/bullmq/index.js';
import type { RedisServer } from './redis-server.js';

/** Queues, workers and readers of both packages on one server, closed together. */
export class BullmqBench {
  readonly connection: { host: string; port: number };
  readonly #made: { close(): Promise<unknown> }[] = [];

  constructor(server: RedisServer) {
    this.connection = { host: server.host, port: server.port };
  }

  queue(name: string, options: Partial<ours.QueueOptions> = {}): ours.Queue {
    return this.keep(new ours.Queue(name, { connection: this.connection, ...options }));
  }

  worker(
    name: string,
    processor: ours.Processor | string | null,
    options: Partial<ours.WorkerOptions> = {},
  ): ours.Worker {
    return this.keep(new ours.Worker(name, processor, { connection: this.connection, ...options }));
  }

  async events(name: string, options: Partial<ours.QueueEventsOptions> = {}): Promise<ours.QueueEvents> {
    const events = this.keep(new ours.QueueEvents(name, { connection: this.connection, ...options }));
    await events.waitUntilReady();
    return events;
  }

  stockQueue(name: string, options: Partial<stock.QueueOptions> = {}): stock.Queue {
    return this.keep(new stock.Queue(name, { connection: this.connection, ...options }));
  }

  stockWorker(name: string, processor: stock.Processor, options: Partial<stock.WorkerOptions> = {}): stock.Worker {
    const worker = this.keep(new stock.Worker(name, processor, { connection: this.connection, ...options }));
    worker.on('error', () => undefined);
    return worker;
  }

  /** Reads from the start: a stock reader is ready before it has its position, and would miss what comes between. */
  async stockEvents(name: string): Promise<stock.QueueEvents> {
    const events = this.keep(new stock.QueueEvents(name, { connection: this.connection, lastEventId: '0' }));
    await events.waitUntilReady();
    return events;
  }

  keep<T extends { close(): Promise<unknown> }>(one: T): T {
    this.#made.push(one);
    return one;
  }

  async close(): Promise<void> {
    await Promise.all(this.#made.splice(0).map((one) => one.close()));
  }
}
