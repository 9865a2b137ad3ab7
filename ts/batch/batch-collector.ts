import { invalidOption } from '../errors.js';
import { startTimeout, stopTimeout } from '../system-time.js';
import type { BatchOptions } from './job-batch.js';

const DEFAULT_TIMEOUT_MS = 1_000;
const MOST_JOBS = 10_000;

/** What a collector needs of its worker. */
export interface BatchSlots<J> {
  /** Batches at once. */
  concurrency(): number;
  /** Runs a batch; `ended` is called when its slot is free. */
  run(jobs: J[], ended: () => void): void;
  /** How many jobs the worker may hold from now on, those of running batches included. */
  capacity(jobs: number): void;
}

/**
 * Makes batches of the jobs that a worker takes. While all slots are busy the worker takes no more jobs than it runs, so
 * that what waits here is little and other workers get their share.
 */
export class BatchCollector<J> {
  readonly #size: number;
  readonly #minSize: number;
  readonly #timeoutMs: number;
  readonly #waiting: J[] = [];
  #batches = 0;
  #jobs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  #isClosing = false;
  #capacity = 0;

  /** @throws `ERR_INVALID_OPTION`. */
  constructor(
    options: BatchOptions,
    private readonly slots: BatchSlots<J>,
  ) {
    if (options === null || typeof options !== 'object') throw invalidOption('batch', String(options), 'an object');
    const { size, minSize = 1, timeout = DEFAULT_TIMEOUT_MS, ...unknown } = options;
    for (const name of Object.keys(unknown)) throw invalidOption(`batch.${name}`, 'unknown', 'size, minSize, timeout');
    whole('batch.size', size, 1, MOST_JOBS);
    whole('batch.minSize', minSize, 1, size);
    whole('batch.timeout', timeout, 0, 2 ** 31 - 1);
    this.#size = size;
    this.#minSize = minSize;
    this.#timeoutMs = timeout;
  }

  /** Jobs that a worker may hold when nothing runs. */
  get size(): number {
    return this.#size;
  }

  add(jobs: J[]): void {
    this.#waiting.push(...jobs);
    this.#next();
  }

  /** Whether a job still waits for its batch; it is taken out. */
  remove(is: (job: J) => boolean): J | undefined {
    const at = this.#waiting.findIndex(is);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  /** The concurrency has changed. */
  resize(): void {
    this.#next();
  }

  /** Runs what waits without waiting for more. */
  flush(): void {
    this.#isDue = this.#waiting.length > 0;
    this.#next();
  }

  /** The same from now on. */
  close(): void {
    this.#isClosing = true;
    this.#next();
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#batches < this.slots.concurrency() && this.#isEnough()) {
      const jobs = this.#waiting.splice(0, this.#size);
      this.#isDue = false;
      this.#batches += 1;
      this.#jobs += jobs.length;
      this.slots.run(jobs, () => {
        this.#batches -= 1;
        this.#jobs -= jobs.length;
        this.#next();
      });
    }
    this.#watch();
    const free = Math.max(this.slots.concurrency() - this.#batches, 0);
    const capacity = Math.max(this.#jobs + free * this.#size, 1);
    if (capacity !== this.#capacity) this.slots.capacity(capacity);
    this.#capacity = capacity;
  }

  #isEnough(): boolean {
    return this.#isClosing || this.#isDue || this.#waiting.length >= this.#minSize;
  }

  #watch(): void {
    const waits = this.#waiting.length > 0 && !this.#isEnough();
    if (!waits) {
      stopTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= startTimeout(() => {
        this.#timer = undefined;
        this.#isDue = true;
        this.#next();
      }, this.#timeoutMs);
    }
  }
}

function whole(name: string, value: unknown, least: number, most: number): void {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  throw invalidOption(name, String(value), `an integer from ${least} to ${most}`);
}
