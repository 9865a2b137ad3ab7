import type { Job } from './job.js';
import { QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import { toJson } from './json.js';
import { QueueAdministration } from './queue-administration.js';
import type { DeadLetterData, DeadLetterFilter } from './types/dead-letter-types.js';

/** Dead letters, seen from the queue that a job failed in and from the queue that keeps them. */
export abstract class QueueDeadLetters<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends QueueAdministration<Data, Result, Name, J> {
  /**
   * Moves a job of this queue that has failed for good to the dead letters of another queue. Jobs with the option
   * `deadLetter` go there by themselves.
   *
   * @param limit Letters that stay there. Default 100,000.
   * @returns False when the job is not among the failed ones.
   */
  async moveToDeadLetters(jobId: string, queue: string, limit?: number): Promise<boolean> {
    return (await this.call(QUEUE_CALL.bury, [String(jobId), queue, limit])) as boolean;
  }

  /**
   * Dead letters in this queue, oldest first. One call looks at 10,000 letters at most.
   *
   * @param start Where an earlier call's `next` left off. Default 0, the oldest.
   * @param limit Default 100.
   * @returns `next` is undefined when there are no more.
   */
  async getDeadLetters<Original = any>(
    filter: DeadLetterFilter = {},
    start = 0,
    limit = 100,
  ): Promise<{ letters: Job<DeadLetterData<Original>>[]; next: number | undefined }> {
    const args = [filterText(filter), start, limit];
    const [rows, next] = (await this.call(QUEUE_CALL.getDeadLetters, args)) as [JobRow[], number | null];
    const letters = rows.map((row) => this.Job.fromRow(this.host, row) as unknown as Job<DeadLetterData<Original>>);
    return { letters, next: next ?? undefined };
  }

  /**
   * Puts the jobs that dead letters of this queue tell of back into the queues that they came from, oldest first, with
   * all their attempts. Works in slices, so that Redis is never held up.
   *
   * @param options.limit So many at most. Default: all that the filter lets through.
   * @returns `skipped` letters stay: a worker has them, or a job with their id is in the original queue again.
   */
  async redriveDeadLetters(
    filter: DeadLetterFilter = {},
    options: { limit?: number } = {},
  ): Promise<{ redriven: number; skipped: number }> {
    const numbers = (await this.call(QUEUE_CALL.redrive, [filterText(filter), options.limit])) as [number, number];
    return { redriven: numbers[0], skipped: numbers[1] };
  }
}

function filterText({ since, until, ...rest }: DeadLetterFilter): string {
  const ms = (time: Date | number | undefined) => (time instanceof Date ? time.getTime() : time);
  return toJson({ ...rest, since: ms(since), until: ms(until) }, 'filter', '{}');
}
