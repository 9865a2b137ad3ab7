import { FlowProducer as BaseFlowProducer } from '../../flow-producer.js';
import type { JobMaker } from '../../job.js';
import { redisConfigOf } from './connection.js';
import { Job } from './job.js';
import { pick } from './option-names.js';
import { type KeysMap, QueueKeys } from './queue-keys.js';
import { RedisClient } from './redis-client.js';
import type { FlowProducerOptions } from './types.js';

/**
 * BullMQ's `FlowProducer`: adds trees of jobs whose parents wait for their children.
 *
 * @example
 * const flows = new FlowProducer({ connection: { host: 'localhost' } });
 * await flows.add({ name: 'publish', queueName: 'albums', children: [{ name: 'resize', queueName: 'images' }] });
 */
export class FlowProducer extends BaseFlowProducer<Job> {
  declare opts: FlowProducerOptions;
  /** Set once `close` was called. */
  closing: Promise<void> | undefined;
  readonly #keys: QueueKeys;
  readonly #client: RedisClient;

  constructor(opts: FlowProducerOptions = { connection: {} }) {
    const config = redisConfigOf(opts.connection);
    super({ ...pick(opts, ['prefix', 'telemetry']), connection: config });
    this.opts = opts;
    this.#keys = new QueueKeys(this.prefix);
    this.#client = new RedisClient(config);
    this.on('state', (state) => {
      if (state === 'RECONNECTING' || state === 'DISCONNECTED') this.emit('ioredis:close');
    });
  }

  /** Last parts of keys; {@link toKey} puts them together. */
  get keys(): KeysMap {
    return this.#keys.getKeys('');
  }

  /** Keys of a queue of any name by their last part. */
  toKey(name: string, type: string): string {
    return this.#keys.toKey(name, type);
  }

  /** A raw client. */
  getBackend(): { client: RedisClient } {
    return { client: this.#client };
  }

  override close(): Promise<void> {
    this.closing ??= super.close().then(async () => void (await this.#client.quit()));
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }

  /** @internal */
  protected override get Job(): JobMaker<Job> {
    return Job as unknown as JobMaker<Job>;
  }
}
