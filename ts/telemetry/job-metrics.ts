import type { Counter, Histogram, Meter } from '../types/telemetry.js';
import { MetricNames, TelemetryAttributes } from './attributes.js';

/** What an attempt came to. */
export type MeasuredState = 'completed' | 'failed' | 'delayed' | 'retried' | 'waiting' | 'waiting-children';

const COUNTERS: Record<MeasuredState, MetricNames> = {
  completed: MetricNames.JobsCompleted,
  failed: MetricNames.JobsFailed,
  delayed: MetricNames.JobsDelayed,
  retried: MetricNames.JobsRetried,
  waiting: MetricNames.JobsWaiting,
  'waiting-children': MetricNames.JobsWaitingChildren,
};

/** Counts the ends of attempts and measures how long they took. Instruments are made when they are first needed. */
export class JobMetrics {
  readonly #counters = new Map<MeasuredState, Counter>();
  #duration: Histogram | undefined;

  constructor(
    private readonly meter: Meter,
    private readonly queue: string,
  ) {}

  record(job: { name: string; processedOn?: number }, state: MeasuredState): void {
    const attributes = {
      [TelemetryAttributes.QueueName]: this.queue,
      [TelemetryAttributes.JobName]: job.name,
      [TelemetryAttributes.JobState]: state,
    };
    let counter = this.#counters.get(state);
    if (!counter) {
      counter = this.meter.createCounter(COUNTERS[state], { description: `Number of jobs ${state}`, unit: '1' });
      this.#counters.set(state, counter);
    }
    counter.add(1, attributes);
    if (job.processedOn === undefined) return;
    this.#duration ??= this.meter.createHistogram(MetricNames.JobDuration, {
      description: 'Job processing duration',
      unit: 'ms',
    });
    this.#duration.record(Date.now() - job.processedOn, attributes);
  }
}
