import { EventEmitter } from 'node:events';
import type { JobMaker } from '../../job.js';
import type { Argument } from '../../native.js';
import { Queue } from '../../queue.js';
import type { QueueOptions } from '../../types/queue-options.js';
import { redisConfigOf } from './connection.js';
import { bullmqError } from './errors.js';
import { Job } from './job.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import type { QueueEventsProducerOptions } from './types.js';

/** Gives jobs of this entry point, and refusals that read as BullMQ's. */
export class PartQueue extends Queue<any, any, string, any> {
  protected override get Job(): JobMaker<any> {
    return Job as unknown as JobMaker<any>;
  }

  override async call(code: number, args: readonly Argument[]): Promise<unknown> {
    try {
      return await super.call(code, args);
    } catch (error) {
      throw bullmqError(error, code, args);
    }
  }
}

/** What BullMQ's classes beside `Queue` have in common that do one thing with a queue: its keys, its errors and its end. */
export abstract class QueuePart extends EventEmitter {
  /** Set once `close` was called. */
  closing: Promise<void> | undefined;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;
  /** @internal */
  protected readonly queue: PartQueue;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong option. */
  constructor(
    readonly name: string,
    { connection, prefix }: Pick<QueueEventsProducerOptions, 'connection' | 'prefix'>,
    options: Pick<QueueOptions, 'settings'> = {},
  ) {
    super();
    checkQueueName(name);
    const config = redisConfigOf(connection);
    this.queue = new PartQueue(name, {
      connection: config,
      skipMetasUpdate: true,
      ...(prefix === undefined ? {} : { prefix }),
      ...options,
    });
    this.backend = new QueueBackend(name, this.queue.prefix, config);
    this.queue.on('error', (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  get keys(): KeysMap {
    return this.backend.keys;
  }

  /** `prefix:name`. */
  get qualifiedName(): string {
    return this.backend.qualifiedName;
  }

  /** The keys of the queue and a raw client. */
  getBackend(): QueueBackend {
    return this.backend;
  }

  toKey(type: string): string {
    return this.backend.toKey(type);
  }

  async waitUntilReady(): Promise<void> {
    await this.queue.waitUntilReady();
  }

  close(): Promise<void> {
    this.closing ??= this.queue.close().then(() => this.backend.close());
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }
}
