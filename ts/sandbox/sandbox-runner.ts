import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Job } from '../job.js';
import type { JobHost } from '../job-host.js';
import { toJson } from '../json.js';
import type { Processor, ProcessorFunction } from '../processor.js';
import { processorFunction } from '../processor-function.js';
import { startTimeout, systemNow } from '../system-time.js';
import { toError } from '../thrown-error.js';
import type { FromSandbox, RunEnd, ToSandbox } from './messages.js';
import { fromCrossing, toCrossing } from './sandbox-error.js';

/** The way from the sandbox to its parent. */
export interface ParentPort {
  /** `sent` is called when the message has left, or never will. */
  send(message: FromSandbox, sent?: () => void): void;
  /** Ends the sandbox. */
  exit(code: number): void;
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** How long a message may take to leave before the sandbox ends without it. */
const LAST_WORDS_MS = 1000;

/**
 * The inside of a sandbox: loads the processor's file and runs it on jobs that the parent hands in, one at a time.
 *
 * The job that a processor gets is the same class as elsewhere; its calls travel to the parent, which makes them.
 */
export class SandboxRunner {
  #process: ProcessorFunction | undefined;
  #running: { run: number; controller: AbortController; job: Job } | undefined;
  #isStopping = false;
  #calls = 0;
  readonly #waiting = new Map<number, Waiting>();

  constructor(private readonly port: ParentPort) {}

  hear(message: ToSandbox): void {
    switch (message.kind) {
      case 'load':
        void this.#load(message.file);
        break;
      case 'run':
        void this.#run(message);
        break;
      case 'abort':
        if (this.#running?.run === message.run) this.#running.controller.abort(fromCrossing(message.reason));
        break;
      case 'answer': {
        const waiting = this.#waiting.get(message.call);
        this.#waiting.delete(message.call);
        if (message.error) waiting?.reject(fromCrossing(message.error));
        else waiting?.resolve(message.value);
        break;
      }
      case 'stop':
        this.stop();
        break;
    }
  }

  /** Ends the sandbox when the running job has ended. */
  stop(): void {
    this.#isStopping = true;
    if (!this.#running) this.port.exit(0);
  }

  /** Something was thrown that nobody caught: the running attempt fails with it, and the sandbox, whose state nobody knows, ends. */
  crash(thrown: unknown): void {
    const error = toError(thrown);
    if (!this.#running) {
      console.error(error);
      this.port.exit(1);
      return;
    }
    this.#isStopping = true;
    this.#lastWords({ kind: 'ended', ...this.#end(this.#running), error: toCrossing(error), isLast: true });
  }

  async #load(file: string): Promise<void> {
    try {
      this.#process = processorOf(await import(file), file);
      this.port.send({ kind: 'ready' });
    } catch (thrown) {
      this.#lastWords({ kind: 'broken', error: toCrossing(toError(thrown)) });
    }
  }

  #lastWords(message: FromSandbox): void {
    const end = () => this.port.exit(1);
    startTimeout(end, LAST_WORDS_MS);
    this.port.send(message, end);
  }

  async #run({ run, row, module, queue, prefix }: Extract<ToSandbox, { kind: 'run' }>): Promise<void> {
    const host: JobHost = { name: queue, prefix, now: systemNow, call: (code, args) => this.#call(code, args) };
    const job: Job = jobClass(module).fromRow(host, row);
    const controller = new AbortController();
    const running = { run, controller, job };
    this.#running = running;
    let outcome: Pick<RunEnd, 'value' | 'error' | 'isFinal'>;
    try {
      const result = await this.#process?.(job, job.token, controller.signal);
      try {
        outcome = { value: toJson(result, `result of job ${job.id}`, 'null') };
      } catch (error) {
        outcome = { error: toCrossing(error as Error), isFinal: true };
      }
    } catch (thrown) {
      outcome = { error: toCrossing(toError(thrown)) };
    }
    if (this.#running !== running) return;
    this.#running = undefined;
    this.port.send({ kind: 'ended', ...this.#end(running), ...outcome }, () => {
      if (this.#isStopping) this.port.exit(0);
    });
  }

  #end({ run, job }: { run: number; job: Job }): RunEnd {
    const end: RunEnd = { run, isDiscarded: job.isDiscarded };
    if (job.requestedMove) end.move = job.requestedMove;
    return end;
  }

  #call(code: number, args: Parameters<JobHost['call']>[1]): Promise<unknown> {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.port.send({ kind: 'call', call, code, args });
    });
  }
}

const load = createRequire(__filename);
const COMPILED = join(__dirname, '..');

/** The class of the parent's jobs: a drop-in has its own. */
function jobClass(module: string): typeof Job {
  return (load(join(COMPILED, module)) as { Job: typeof Job }).Job;
}

/** The processor that a module exports: by default, or as `module.exports`, also where a compiler has wrapped one in the other. */
function processorOf(module: { default?: unknown }, file: string): ProcessorFunction {
  let found = module.default;
  while (hasDefault(found)) found = found.default;
  const run = processorFunction(found as Processor);
  if (!run) {
    throw new TypeError(
      `${file} exports no processor: its default export (or module.exports) is ${found === null ? 'null' : typeof found}; allowed: a function, or an object or class with process(job)`,
    );
  }
  return run;
}

function hasDefault(value: unknown): value is { default: unknown } {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && 'default' in value;
}
