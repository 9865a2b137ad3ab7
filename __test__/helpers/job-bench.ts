import { FlowProducer } from '../../ts/flow-producer.js';
import type { Processor, ProcessorFile } from '../../ts/processor.js';
import { Queue } from '../../ts/queue.js';
import { QueueEvents } from '../../ts/queue-events.js';
import type { FlowProducerOptions } from '../../ts/types/flow-types.js';
import type { QueueEventsOptions, QueueOptions, WorkerOptions } from '../../ts/types/queue-options.js';
import { Worker } from '../../ts/worker.js';
import { uniquePrefix } from './unique-prefix.js';

/** Queues, workers and event readers of one test on one server, closed together. */
export class JobBench {
  readonly #made: { close(force?: boolean): Promise<void> }[] = [];

  constructor(readonly connection: { url: string }) {}

  queue<Data = any, Result = any>(name = uniquePrefix('queue'), options: QueueOptions = {}): Queue<Data, Result> {
    return this.#keep(new Queue<Data, Result>(name, { connection: this.connection, ...options }));
  }

  flows(options: FlowProducerOptions = {}): FlowProducer {
    return this.#keep(new FlowProducer({ connection: this.connection, ...options }));
  }

  worker<Data = any, Result = any>(
    name: string,
    processor: Processor<Data, Result> | ProcessorFile | null,
    options: WorkerOptions = {},
  ): Worker<Data, Result> {
    return this.#keep(new Worker<Data, Result>(name, processor, { connection: this.connection, ...options }));
  }

  async events(name: string, options: QueueEventsOptions = {}): Promise<QueueEvents> {
    return this.#keep(await new QueueEvents(name, { connection: this.connection, ...options }).waitUntilReady());
  }

  async close(): Promise<void> {
    await Promise.all(this.#made.splice(0).map((one) => one.close(true)));
  }

  #keep<T extends { close(force?: boolean): Promise<void> }>(one: T): T {
    this.#made.push(one);
    return one;
  }
}

/** Values of an event until `count` have come. */
export function collect<T extends unknown[]>(
  emitter: { on(event: any, listener: (...args: any[]) => unknown): unknown },
  event: string,
  count: number,
): Promise<T[]> {
  return new Promise((resolve) => {
    const got: T[] = [];
    emitter.on(event, (...args: any[]) => {
      got.push(args as T);
      if (got.length === count) resolve(got);
    });
  });
}
