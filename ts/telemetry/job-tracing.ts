import type { AttemptOutcome } from '../attempt.js';
import type { Job } from '../job.js';
import { type Attributes, SpanKind, type Telemetry } from '../types/telemetry.js';
import type { Settlement } from '../worker-protocol.js';
import { TelemetryAttributes } from './attributes.js';
import { JobMetrics, type MeasuredState } from './job-metrics.js';
import { guard, type TracedSpan, trace } from './trace.js';

/** Traces and measures the jobs that a worker runs. */
export class JobTracing {
  readonly #metrics: JobMetrics | undefined;

  constructor(
    private readonly telemetry: Telemetry,
    private readonly queue: string,
    private readonly worker: { id: string; name: string | undefined },
  ) {
    if (telemetry.meter) this.#metrics = new JobMetrics(telemetry.meter, queue);
  }

  /** The processing of a job, in the trace that added it. */
  process(job: Job, run: (span: TracedSpan) => Promise<void>): Promise<void> {
    const { queue } = this;
    const metadata = job.opts.telemetry?.metadata;
    const step = { kind: SpanKind.CONSUMER, queue, operation: 'process', destination: queue, metadata };
    return trace(this.telemetry, step, async (span) => {
      span.setAttributes({
        [TelemetryAttributes.WorkerId]: this.worker.id,
        [TelemetryAttributes.WorkerName]: this.worker.name,
        [TelemetryAttributes.JobId]: job.id,
        [TelemetryAttributes.JobName]: job.name,
      });
      try {
        await run(span);
      } finally {
        span.setAttributes({
          [TelemetryAttributes.JobAttemptFinishedTimestamp]: job.finishedOn ?? Date.now(),
          [TelemetryAttributes.JobProcessedTimestamp]: job.processedOn,
        });
      }
    });
  }

  /** The storing of an outcome. */
  store(job: Job, outcome: AttemptOutcome<unknown>, store: () => Promise<unknown>): Promise<unknown> {
    const operation = operationOf(job, outcome);
    if (operation === undefined) return store();
    const step = { kind: SpanKind.INTERNAL, queue: this.queue, operation, destination: this.queue };
    return trace(this.telemetry, step, (span) => {
      span.setAttributes({ [TelemetryAttributes.JobName]: job.name, [TelemetryAttributes.JobId]: job.id });
      return store();
    });
  }

  /** The native thread has renewed the locks of these jobs, or found them lost. */
  renewed(jobIds: string[]): void {
    this.#done('extendLocks', { [TelemetryAttributes.WorkerJobsToExtendLocks]: jobIds });
  }

  /** The native thread has put these jobs of dead workers back. */
  stalled(jobIds: string[]): void {
    this.#done('moveStalledJobsToWait', { [TelemetryAttributes.WorkerStalledJobs]: jobIds }, (span) => {
      for (const id of jobIds) span.addEvent('job stalled', { [TelemetryAttributes.JobId]: id });
    });
  }

  /** The next job of a scheduler was made. */
  runAdded(schedulerId: string, name: string, jobId: string): void {
    const { queue } = this;
    const step = { kind: SpanKind.PRODUCER, queue, operation: 'add', destination: `${queue}.${name}` };
    const attributes = { [TelemetryAttributes.JobSchedulerId]: schedulerId, [TelemetryAttributes.JobId]: jobId };
    void trace(this.telemetry, step, (span) => span.setAttributes(attributes));
  }

  /** A span of what the native thread has done by itself: it begins when it is told of. */
  #done(operation: string, attributes: Attributes, more?: (span: TracedSpan) => void): void {
    const step = { kind: SpanKind.INTERNAL, queue: this.queue, operation, destination: this.queue };
    const { id, name } = this.worker;
    void trace(this.telemetry, step, (span) => {
      span.setAttributes({ [TelemetryAttributes.WorkerId]: id, [TelemetryAttributes.WorkerName]: name, ...attributes });
      more?.(span);
    });
  }

  /** An outcome is stored. */
  stored(job: Job, span: TracedSpan, outcome: AttemptOutcome<unknown>, settlement: Settlement): void {
    guard(this.telemetry, () => this.#metrics?.record(job, stateOf(outcome, settlement)));
    if (outcome.kind === 'completed') {
      span.addEvent('job completed', { [TelemetryAttributes.JobResult]: outcome.value });
    } else if (outcome.kind === 'failed') {
      span.addEvent('job failed', { [TelemetryAttributes.JobFailedReason]: outcome.error.message });
    } else return;
    span.setAttributes({ [TelemetryAttributes.JobAttemptsMade]: job.attemptsMade });
  }
}

/** BullMQ's name for what is about to be stored. */
function operationOf(job: Job, outcome: AttemptOutcome<unknown>): string | undefined {
  if (outcome.kind === 'completed') return 'complete';
  if (outcome.kind !== 'failed') return undefined;
  const { attempts = 1, backoff } = job.opts;
  if (outcome.retryAfterMs === -1 || job.attemptsMade + 1 >= attempts) return 'fail';
  const delay = outcome.retryAfterMs ?? (typeof backoff === 'object' ? backoff.delay : backoff);
  return delay ? 'delay' : 'retry';
}

function stateOf(outcome: AttemptOutcome<unknown>, [kind, , delayMs]: Settlement): MeasuredState {
  if (kind === 'completed' || kind === 'failed') return kind;
  if (kind === 'retrying') return delayMs > 0 ? 'delayed' : 'retried';
  return outcome.kind === 'delayed' || outcome.kind === 'waiting-children' ? outcome.kind : 'waiting';
}
