import { invalidArgument, invalidOption } from './errors.js';
import type { Job } from './job.js';
import type { QueueService } from './queue-service.js';
import type { DeadLetterData, DeadLetterFilter } from './types/dead-letter-types.js';

export interface DeadLetterQueueOptions {
  /** Queue that keeps the letters. Default `dead-letter`. */
  queue?: string;
  /** Of more letters the oldest go. Default 100,000. */
  limit?: number;
}

/**
 * Keeps jobs that have failed for good, and puts them back when their cause is gone.
 *
 * Jobs, queues and workers with the option `deadLetter` need no code for the first half: their failed jobs are moved in
 * the same step in which the failure is stored. {@link handleFailedJob} does it for jobs without the option.
 *
 * @example
 * const letters = new DeadLetterQueueService(queues);
 * queues.on('worker:failed', (job, error) => job.finishedOn && letters.handleFailedJob(job, error));
 * // later, when the mail server is back:
 * await letters.redrive({ queue: 'mail', error: 'ECONNREFUSED' });
 */
export class DeadLetterQueueService {
  readonly #queue: string;
  readonly #limit: number | undefined;

  /** @throws `ERR_INVALID_OPTION` for an unknown option. */
  constructor(
    private readonly queues: QueueService,
    options: DeadLetterQueueOptions = {},
  ) {
    for (const name of Object.keys(options)) {
      if (name !== 'queue' && name !== 'limit') throw invalidOption(name, 'unknown', 'queue, limit');
    }
    this.#queue = options.queue ?? 'dead-letter';
    this.#limit = options.limit;
  }

  /**
   * Moves a job to the dead letters when it has failed for good. Does nothing for a job that will be tried again or that
   * is there already; a job that was removed when it failed is written down from what is at hand.
   */
  async handleFailedJob(job: Job, error: Error): Promise<void> {
    const queue = this.queues.getQueue(job.queueName);
    if (await queue.moveToDeadLetters(job.id, this.#queue, this.#limit)) return;
    if ((await queue.getJobState(job.id)) !== 'unknown') return;
    const letters = this.queues.getQueue(this.#queue);
    const known = await letters.getDeadLetters({ queue: job.queueName, jobId: job.id }, 0, 1);
    if (known.letters.length > 0) return;
    const letter: DeadLetterData = {
      originalQueue: job.queueName,
      originalJobType: job.name,
      originalJobId: job.id,
      originalData: job.data,
      error: error.message,
      reason: 'failed',
      failedAt: new Date(job.finishedOn ?? Date.now()).toISOString(),
      attemptsMade: job.attemptsMade,
      stacktrace: job.stacktrace,
    };
    await letters.add('failed-job', letter);
  }

  /**
   * Adds the job that a letter tells of to its queue again, for one attempt and before others; the letter stays. For use
   * in a processor of the dead-letter queue. {@link redrive} puts jobs back as they were.
   */
  async retryFailedJob(jobData: DeadLetterData | Job<DeadLetterData>): Promise<Job> {
    const data = jobData && 'data' in jobData ? jobData.data : jobData;
    if (typeof data?.originalQueue !== 'string' || typeof data.originalJobType !== 'string') {
      throw invalidArgument('jobData', typeof data, 'a letter, or its data with originalQueue and originalJobType');
    }
    return this.queues
      .getQueue(data.originalQueue)
      .add(data.originalJobType, data.originalData, { attempts: 1, priority: 10 });
  }

  /** Letters, oldest first. `next` is where a further call goes on, as `start`; undefined when there are no more. */
  list<Original = any>(
    filter: DeadLetterFilter = {},
    page: { start?: number; limit?: number } = {},
  ): Promise<{ letters: Job<DeadLetterData<Original>>[]; next: number | undefined }> {
    return this.queues.getQueue(this.#queue).getDeadLetters<Original>(filter, page.start, page.limit);
  }

  /** How many letters wait. */
  count(): Promise<number> {
    return this.queues.getQueue(this.#queue).getWaitingCount();
  }

  /**
   * Puts jobs back into the queues that they came from, oldest first, with all their attempts; in slices, so that Redis
   * is never held up. Letters that {@link handleFailedJob} had to write down stay: use {@link retryFailedJob}.
   */
  redrive(
    filter: DeadLetterFilter = {},
    options: { limit?: number } = {},
  ): Promise<{ redriven: number; skipped: number }> {
    return this.queues.getQueue(this.#queue).redriveDeadLetters(filter, options);
  }
}
