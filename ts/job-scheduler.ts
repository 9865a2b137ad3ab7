import type { Job } from './job.js';
import type { QueueService } from './queue-service.js';
import type { BackoffOptions } from './types/job-options.js';

/** What {@link JobScheduler.scheduleJob} takes; its defaults are made for jobs that call other services. */
export interface ScheduleJobOptions {
  /** Default 0. */
  priority?: number;
  /** Milliseconds. Default 0. */
  delay?: number;
  /** Default 3. */
  attempts?: number;
  /** Default: exponential, from 2000 ms. */
  backoff?: BackoffOptions;
}

/** Adds jobs by queue and type, with retries unless told otherwise. */
export class JobScheduler {
  constructor(private readonly queues: QueueService) {}

  /** Adds a job now. @throws `ERR_QUEUE_NOT_FOUND` when the service defines its queues and this is none of them. */
  async scheduleJob<Data>(
    queue: string,
    type: string,
    data: Data,
    options: ScheduleJobOptions = {},
  ): Promise<Job<Data>> {
    return this.queues.getQueue(queue).add(type, data, {
      priority: options.priority ?? 0,
      delay: options.delay ?? 0,
      attempts: options.attempts ?? 3,
      backoff: options.backoff ?? { type: 'exponential', delay: 2000 },
    });
  }

  /** Lets a job come again and again. The same type with the same pattern is one schedule. */
  async scheduleRecurringJob<Data>(queue: string, type: string, data: Data, cron: string): Promise<void> {
    await this.queues.getQueue(queue).add(type, data, { repeat: { pattern: cron } });
  }
}
