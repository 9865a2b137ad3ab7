import type { BatchOptions, BatchProcessor } from './batch/job-batch.js';
import { invalidOption } from './errors.js';
import type { Job } from './job.js';
import type { Processor, ProcessorFile, ProcessorFunction } from './processor.js';
import { openProcessor, refuseSandboxOptions } from './sandbox/open-sandbox.js';
import type { SandboxPool } from './sandbox/sandbox-pool.js';
import { UnrecoverableError } from './steering.js';
import type { LimiterOptions } from './types/queue-options.js';
import type { ProcessorOptions } from './types/queue-service-options.js';

interface Entry {
  run: ProcessorFunction;
  concurrency: number;
  limiter: LimiterOptions | undefined;
  /** Of a processor that is a file. */
  sandbox?: SandboxPool;
  /** Of a processor of batches. */
  batch?: { processor: BatchProcessor; options: BatchOptions };
}

/** Which processor runs which jobs of a queue: by name, and one for all other names. Never changed, only replaced. */
export class ProcessorTable {
  readonly #entries: ReadonlyMap<string | undefined, Entry>;

  constructor(
    private readonly queue: string,
    entries: ReadonlyMap<string | undefined, Entry> = new Map(),
  ) {
    this.#entries = entries;
  }

  /** This table with another processor for a name, or for jobs without a processor by name. */
  with(processor: Processor | ProcessorFile, options: ProcessorOptions & { concurrency: number }): ProcessorTable {
    const { name, concurrency, limiter } = options;
    const others = [...this.#entries].filter(([other]) => other !== name).map(([, entry]) => entry);
    if ((options.batch && (name !== undefined || others.length > 0)) || others.some(({ batch }) => batch)) {
      throw invalidOption('batch', 'given beside processors by name', 'only for the single processor of a queue');
    }
    if (options.batch) {
      refuseSandboxOptions(options);
      const batch = { processor: processor as unknown as BatchProcessor, options: options.batch };
      const run = () => Promise.reject(new Error(`the jobs of queue ${this.queue} are run in batches`));
      return new ProcessorTable(this.queue, new Map([[undefined, { run, concurrency, limiter, batch }]]));
    }
    return new ProcessorTable(
      this.queue,
      new Map([
        ...this.#entries,
        [name, { ...openProcessor(processor, options, () => concurrency), concurrency, limiter }],
      ]),
    );
  }

  /** The processor of batches, which is then the only one. */
  get batch(): { processor: BatchProcessor; options: BatchOptions } | undefined {
    return this.#entries.get(undefined)?.batch;
  }

  /** The sandboxes of processors that are files. */
  get sandboxes(): SandboxPool[] {
    return [...this.#entries.values()].flatMap(({ sandbox }) => sandbox ?? []);
  }

  /** Jobs at once: as in Bull, that of all processors together. */
  get concurrency(): number {
    return [...this.#entries.values()].reduce((sum, { concurrency }) => sum + concurrency, 0);
  }

  /** The limit that was given last: a queue has one. */
  get limiter(): LimiterOptions | undefined {
    return [...this.#entries.values()].reduce<LimiterOptions | undefined>(
      (found, { limiter }) => limiter ?? found,
      undefined,
    );
  }

  /**
   * One function for a worker. It asks for a signal when one of the processors does. `current` is the table that is in
   * force: a worker that was replaced may still be handed a job whose processor came after it.
   */
  processor(current: () => ProcessorTable | undefined): ProcessorFunction {
    const entries = [...this.#entries.values()];
    const [only] = entries;
    if (entries.length === 1 && only && this.#entries.has(undefined)) return only.run;
    return entries.some(({ run }) => run.length >= 3)
      ? (job, token, signal) => this.#run(current, job, token, signal)
      : (job, token) => this.#run(current, job, token);
  }

  /** What runs jobs of a name. */
  find(name: string): Entry | undefined {
    return this.#entries.get(name) ?? this.#entries.get(undefined);
  }

  #run(current: () => ProcessorTable | undefined, job: Job, token?: string, signal?: AbortSignal): unknown {
    const entry = this.find(job.name) ?? current()?.find(job.name);
    if (!entry) throw new UnrecoverableError(`queue ${this.queue} has no processor for jobs named ${job.name}`);
    // A worker that was replaced may not have been asked for a signal.
    return entry.run(job, token, signal ?? (entry.run.length >= 3 ? new AbortController().signal : undefined));
  }
}
