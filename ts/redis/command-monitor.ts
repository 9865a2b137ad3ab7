import { startInterval, stopInterval, systemNow } from '../system-time.js';
import { commandName } from './command-method.js';
import type { PipelineResult } from './pipeline.js';

/** A command that took long, from its call to its reply: waiting for a connection included, waiting on purpose (`blpop`) not. */
export interface SlowCommand {
  /** Its name, without arguments: those may be secret. `PIPELINE` and `TRANSACTION` for commands that are sent together. */
  command: string;
  durationMs: number;
  /** When it was called. */
  startedAt: Date;
}

/** What the commands of a service did in a time. */
export interface CommandMetrics {
  from: Date;
  to: Date;
  /** Commands that were answered. */
  commands: number;
  /** Of those, how many failed. */
  errors: number;
  /** How many took longer than `slowCommandThreshold`; commands that are sent together count as one here, and below. */
  slow: number;
  /** From the call to the reply. */
  averageMs: number;
  longestMs: number;
}

/** Names that wait on purpose. */
const WAITING = /^(?:B(?:LPOP|RPOP|LMOVE|LMPOP|ZPOPMIN|ZPOPMAX|ZMPOP|RPOPLPUSH)|XREAD|XREADGROUP)$/;

/** Measures commands while somebody wants to know. */
export class CommandMonitor {
  #commands = 0;
  #measured = 0;
  #errors = 0;
  #slow = 0;
  #totalMs = 0;
  #longestMs = 0;
  #from = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Whether commands are to be measured. */
  isOn = false;

  constructor(
    private readonly thresholdMs: number,
    private readonly intervalMs: number,
    private readonly tell: {
      slow(command: SlowCommand): void;
      metrics(metrics: CommandMetrics): void;
    },
  ) {}

  /** Somebody began or ceased to listen. */
  listeners(slow: number, metrics: number): void {
    this.isOn = slow > 0 || metrics > 0;
    if (metrics > 0 && this.#timer === undefined) {
      this.#reset();
      this.#timer = startInterval(() => this.#report(), this.intervalMs);
      this.#timer.unref();
    } else if (metrics === 0) {
      this.close();
    }
  }

  /** Measures a command. */
  watch(code: number, args: readonly unknown[], outcome: Promise<unknown>): void {
    const [started, startedAt] = [performance.now(), systemNow()];
    const done = (failed: boolean) => {
      const command = commandName(code) ?? String(args[0]).toUpperCase();
      this.#done(1, failed ? 1 : 0);
      if (!WAITING.test(command)) this.#took(command, performance.now() - started, startedAt);
    };
    outcome.then(
      () => done(false),
      () => done(true),
    );
  }

  /** Measures commands that are sent together, as one. */
  watchAll(name: 'PIPELINE' | 'TRANSACTION', count: number, outcome: Promise<PipelineResult[] | null>): void {
    if (!this.isOn || count === 0) return;
    const [started, startedAt] = [performance.now(), systemNow()];
    const done = (errors: number) => {
      this.#done(count, errors);
      this.#took(name, performance.now() - started, startedAt);
    };
    outcome.then(
      (results) => done(results === null ? 0 : results.filter(([error]) => error !== null).length),
      () => done(count),
    );
  }

  #done(commands: number, errors: number): void {
    this.#commands += commands;
    this.#errors += errors;
  }

  #took(command: string, durationMs: number, startedAt: number): void {
    this.#measured++;
    this.#totalMs += durationMs;
    this.#longestMs = Math.max(this.#longestMs, durationMs);
    if (durationMs < this.thresholdMs) return;
    this.#slow++;
    this.tell.slow({ command, durationMs, startedAt: new Date(startedAt) });
  }

  close(): void {
    if (this.#timer !== undefined) stopInterval(this.#timer);
    this.#timer = undefined;
  }

  #report(): void {
    const metrics: CommandMetrics = {
      from: new Date(this.#from),
      to: new Date(systemNow()),
      commands: this.#commands,
      errors: this.#errors,
      slow: this.#slow,
      averageMs: this.#measured === 0 ? 0 : this.#totalMs / this.#measured,
      longestMs: this.#longestMs,
    };
    this.#reset();
    this.tell.metrics(metrics);
  }

  #reset(): void {
    [this.#commands, this.#measured, this.#errors, this.#slow] = [0, 0, 0, 0];
    [this.#totalMs, this.#longestMs] = [0, 0];
    this.#from = systemNow();
  }
}
