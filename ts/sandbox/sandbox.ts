import { waitTimedOut } from '../job-errors.js';
import type { JobRow } from '../job-row.js';
import { startTimeout, stopTimeout } from '../system-time.js';
import { toError } from '../thrown-error.js';
import type { Channel, Launch } from './channel.js';
import type { FromSandbox, RunEnd } from './messages.js';
import { type CrossingError, fromCrossing, toCrossing } from './sandbox-error.js';

/** How long loading the processor's file may take, and how long an idle sandbox that was asked to end may. */
const START_MS = 60_000;
const STOP_MS = 5_000;

/** A job for a sandbox, and who makes its calls. */
export interface Order {
  row: JobRow;
  /** Of the job's class. */
  module: string;
  queue: string;
  prefix: string;
  /** Aborted while the run lasts, or before it began. */
  signal: AbortSignal | undefined;
  call(code: number, args: readonly unknown[]): Promise<unknown>;
  /** The error of a run whose sandbox has ended under it. */
  crashed(how: string): Error;
}

interface Running {
  run: number;
  order: Order;
  resolve: (end: RunEnd) => void;
  reject: (error: Error) => void;
}

/** One child process or worker thread with a processor in it; runs one job at a time. */
export class Sandbox {
  /** Settles when the processor is loaded, or cannot be. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  readonly #channel: Channel;
  #isGone = false;
  #isStopping = false;
  #running: Running | undefined;
  #runs = 0;
  #loaded!: { resolve: () => void; reject: (error: Error) => void };
  #end!: () => void;

  constructor(launch: Launch, file: string) {
    this.ready = new Promise((resolve, reject) => {
      const limit = startTimeout(() => {
        reject(waitTimedOut(`processor file ${file} to load`, START_MS));
        this.kill();
      }, START_MS);
      this.#loaded = {
        resolve: () => {
          stopTimeout(limit);
          resolve();
        },
        reject: (error) => {
          stopTimeout(limit);
          reject(error);
        },
      };
    });
    // Who runs a job hears of it; nobody may be there to.
    this.ready.catch(() => undefined);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#channel = launch({
      message: (message) => this.#hear(message),
      gone: (how, error) => this.#gone(how, error),
    });
    this.#channel.send({ kind: 'load', file });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** It takes no further job. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Runs a job; rejects when the sandbox ends before it has. */
  async run(order: Order): Promise<RunEnd> {
    await this.ready;
    if (this.#isGone) throw order.crashed('had ended');
    return new Promise((resolve, reject) => {
      const run = ++this.#runs;
      this.#running = { run, order, resolve, reject };
      const { row, module, queue, prefix } = order;
      this.#channel.send({ kind: 'run', run, row, module, queue, prefix });
      if (order.signal?.aborted) this.abort();
    });
  }

  /** Aborts the signal of the running job, as that of its order is. */
  abort(): void {
    if (!this.#running) return;
    const reason = toCrossing(toError(this.#running.order.signal?.reason));
    this.#channel.send({ kind: 'abort', run: this.#running.run, reason });
  }

  /** Ends it when its job has, by force when that takes longer than `withinMs`. */
  async stop(withinMs = STOP_MS): Promise<void> {
    if (this.#isGone) return;
    this.#isStopping = true;
    this.#channel.send({ kind: 'stop' });
    const limit = startTimeout(() => this.kill(), withinMs);
    await this.ended;
    stopTimeout(limit);
  }

  kill(): void {
    if (!this.#isGone) this.#channel.kill();
  }

  #hear(message: FromSandbox): void {
    switch (message.kind) {
      case 'ready':
        this.#loaded.resolve();
        break;
      case 'broken':
        this.#loaded.reject(fromCrossing(message.error));
        break;
      case 'call':
        void this.#call(message.call, message.code, message.args);
        break;
      case 'ended':
        if (this.#running?.run !== message.run) break;
        if (message.isLast) this.#isStopping = true;
        this.#running.resolve(message);
        this.#running = undefined;
    }
  }

  async #call(call: number, code: number, args: readonly unknown[]): Promise<void> {
    let answer: { value?: unknown; error?: CrossingError };
    try {
      answer = { value: await this.#running?.order.call(code, args) };
    } catch (error) {
      answer = { error: toCrossing(error as Error) };
    }
    this.#channel.send({ kind: 'answer', call, ...answer });
  }

  #gone(how: string, error: Error | undefined): void {
    this.#isGone = true;
    const running = this.#running;
    this.#running = undefined;
    running?.reject(error ?? running.order.crashed(how));
    this.#loaded.reject(error ?? new Error(`the sandbox ${how} while it loaded the processor`));
    this.#end();
  }
}
