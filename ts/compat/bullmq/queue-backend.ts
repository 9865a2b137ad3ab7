import type { RedisConfig } from '../../types/redis-config.js';
import { workerClientName } from '../../worker-entry.js';
import { type KeysMap, QueueKeys } from './queue-keys.js';
import { RedisClient } from './redis-client.js';

/** What `getBackend()` gives: the keys of a queue and a raw client to its Redis. */
export class QueueBackend {
  readonly keys: KeysMap;
  readonly qualifiedName: string;
  /** Connects when it is first used. */
  readonly client: RedisClient;
  readonly #keys: QueueKeys;
  readonly #name: string;

  /** @internal */
  constructor(name: string, prefix: string, config: RedisConfig) {
    this.#name = name;
    this.#keys = new QueueKeys(prefix);
    this.keys = this.#keys.getKeys(name);
    this.qualifiedName = this.#keys.getQueueQualifiedName(name);
    this.client = new RedisClient(config);
  }

  toKey(type: string): string {
    return this.#keys.toKey(this.#name, type);
  }

  /** The name of a connection of this queue, as BullMQ gives it. */
  clientName(suffix = ''): string {
    return `${workerClientName(this.#keys.prefix, this.#name)}${suffix}`;
  }

  async waitUntilReady(): Promise<void> {
    await this.client.connect();
  }

  async getClientList(): Promise<string[]> {
    return [await this.client.clientList()];
  }

  async close(): Promise<void> {
    await this.client.quit();
  }

  async disconnect(): Promise<void> {
    await this.close();
  }
}
