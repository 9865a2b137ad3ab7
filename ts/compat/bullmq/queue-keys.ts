/** Keys of a queue by their last part. */
export type KeysMap = Record<string, string>;

const NAMES = [
  '',
  'active',
  'wait',
  'waiting-children',
  'paused',
  'id',
  'delayed',
  'prioritized',
  'stalled-check',
  'completed',
  'failed',
  'stalled',
  'repeat',
  'limiter',
  'meta',
  'events',
  'pc',
  'marker',
  'de',
];

/** Where the data of queues is. */
export class QueueKeys {
  constructor(readonly prefix = 'bull') {}

  getKeys(name: string): KeysMap {
    return Object.fromEntries(NAMES.map((type) => [type, this.toKey(name, type)]));
  }

  toKey(name: string, type: string): string {
    return `${this.getQueueQualifiedName(name)}:${type}`;
  }

  getQueueQualifiedName(name: string): string {
    return `${this.prefix}:${name}`;
  }
}
