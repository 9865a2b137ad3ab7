import { createError } from '../errors.js';
import type { Job } from '../job.js';
import { closed, isTimeout } from '../job-errors.js';
import type { Argument } from '../native.js';
import type { ProcessorFunction } from '../processor.js';
import type { Launch } from './channel.js';
import { Sandbox } from './sandbox.js';
import { fromCrossing } from './sandbox-error.js';

/** How long a processor that ran out of time may go on to clean up, when its signal has told it. */
const GRACE_MS = 1_000;

/**
 * The sandboxes of one worker: as many as jobs run at once, made when they are needed and used again.
 *
 * A sandbox that loses its job (timeout) or its mind (uncaught error) is not used again.
 */
export class SandboxPool {
  readonly #idle: Sandbox[] = [];
  readonly #all = new Set<Sandbox>();
  #isClosed = false;

  /** @param size How many sandboxes may stay. */
  constructor(
    private readonly launch: Launch,
    private readonly file: string,
    private readonly size: () => number,
  ) {}

  /** The processor that runs jobs here. It takes a signal, so every job has one. */
  readonly process: ProcessorFunction = (job: Job, _token?: string, signal?: AbortSignal) => this.#run(job, signal);

  /** Ends all sandboxes: those that are idle, or all with `force`, at once. */
  async close(force: boolean): Promise<void> {
    this.#isClosed = true;
    this.#idle.length = 0;
    const ending = [...this.#all].map(async (sandbox) => {
      if (force) sandbox.kill();
      else void sandbox.stop();
      await sandbox.ended;
    });
    await Promise.all(ending);
  }

  async #run(job: Job, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#isClosed) throw closed(`worker of queue ${job.queueName}`);
    const sandbox = this.#take();
    const abort = () => {
      sandbox.abort();
      // Nobody waits for this run any more, and its sandbox is good for nothing else.
      if (isTimeout(signal?.reason)) void sandbox.stop(GRACE_MS);
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await sandbox.ready;
      if (isTimeout(signal?.reason)) throw signal?.reason;
      const end = await sandbox.run({
        row: job.toRow(),
        module: (job.constructor as typeof Job).sandboxModule,
        queue: job.queueName,
        prefix: job.prefix,
        signal,
        call: (code, args) => job.relay(code, args as readonly Argument[]),
        crashed: (how) => sandboxCrashed(job, how),
      });
      job.adopt(end.move, end.isDiscarded || end.isFinal === true);
      if (end.error) throw fromCrossing(end.error);
      return end.value === undefined ? undefined : JSON.parse(end.value);
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#release(sandbox);
    }
  }

  #take(): Sandbox {
    const idle = this.#idle.pop();
    if (idle) return idle;
    const sandbox = new Sandbox(this.launch, this.file);
    this.#all.add(sandbox);
    void sandbox.ended.then(() => {
      this.#all.delete(sandbox);
      const at = this.#idle.indexOf(sandbox);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return sandbox;
  }

  #release(sandbox: Sandbox): void {
    if (sandbox.isGone || sandbox.isStopping) return;
    if (this.#isClosed || this.#idle.length >= this.size()) void sandbox.stop();
    else this.#idle.push(sandbox);
  }
}

function sandboxCrashed(job: Job, how: string): Error {
  return createError({
    code: 'ERR_SANDBOX_CRASHED',
    message: `the sandbox that ran job ${job.id} of queue ${job.queueName} ${how}`,
    details: { jobId: job.id, queue: job.queueName },
    retryable: true,
  });
}
