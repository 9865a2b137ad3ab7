import { Job } from './job.js';
import type { StoredJobJson } from './job-row.js';
import { isSealed } from './payload-options.js';
import type { Queue } from './queue.js';
import { QueueEvents } from './queue-events.js';
import type { QueueConnection } from './types/queue-options.js';

/**
 * Events of jobs and queues in all processes. Every listener also gets the queue's name, as its last value. Of a job that
 * was removed before it could be read, the event's own values and `id` and `queueName` are known: its name is empty, its
 * data `{}`.
 */
export interface JobEventMap {
  'job:added': [jobId: string, queue: string];
  'job:waiting': [jobId: string, queue: string];
  'job:active': [job: Job, previousState: string, queue: string];
  'job:progress': [job: Job, progress: any, queue: string];
  'job:completed': [job: Job, result: any, queue: string];
  /** For good: all attempts are used up. */
  'job:failed': [job: Job, error: Error, queue: string];
  'job:stalled': [jobId: string, queue: string];
  'job:removed': [job: Job, queue: string];
  'queue:paused': [queue: string];
  'queue:resumed': [queue: string];
}

type Fire = <E extends keyof JobEventMap>(event: E, args: JobEventMap[E]) => void;

const RELAYED: ReadonlySet<string> = new Set([
  'job:added',
  'job:waiting',
  'job:active',
  'job:progress',
  'job:completed',
  'job:failed',
  'job:stalled',
  'job:removed',
  'queue:paused',
  'queue:resumed',
]);

/** Turns the event streams of queues into events of the service. Reads nothing until somebody listens. */
export class JobEventRelay {
  readonly #events = new Map<string, QueueEvents>();
  /** What of each queue is being told: events keep their order although jobs have to be read. */
  readonly #last = new Map<string, Promise<void>>();
  #started = false;
  #closed = false;

  constructor(
    private readonly connection: QueueConnection,
    private readonly queueOf: (name: string) => Queue,
    private readonly fire: Fire,
    private readonly hasListener: (event: keyof JobEventMap) => boolean,
    private readonly failed: (error: Error, queue: string) => void,
  ) {}

  /** Whether an event of the service comes from here. */
  static relays(event: string): boolean {
    return RELAYED.has(event);
  }

  /** Somebody listens: reads the events of these queues and of those that are opened later. */
  start(queues: string[]): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    for (const queue of queues) this.#read(queue);
  }

  /** A queue came into use. */
  opened(queue: string): void {
    if (this.#started) this.#read(queue);
  }

  /** Resolves when every event from now on will be told. */
  async ready(): Promise<void> {
    await Promise.all([...this.#events.values()].map((events) => events.waitUntilReady()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#events.values()].map((events) => events.close()));
    await Promise.all(this.#last.values());
  }

  #read(queue: string): void {
    if (this.#events.has(queue) || this.#closed) return;
    const events = new QueueEvents(queue, this.connection);
    this.#events.set(queue, events);
    const fire = this.fire;
    events.on('error', (error) => this.failed(error, queue));
    events.on('added', ({ jobId }) => this.#tell(queue, () => fire('job:added', [jobId, queue])));
    events.on('waiting', ({ jobId }) => this.#tell(queue, () => fire('job:waiting', [jobId, queue])));
    events.on('stalled', ({ jobId }) => this.#tell(queue, () => fire('job:stalled', [jobId, queue])));
    events.on('removed', ({ jobId }) =>
      this.#tell(queue, () => fire('job:removed', [this.#goneJob(queue, jobId), queue])),
    );
    events.on('paused', () => this.#tell(queue, () => fire('queue:paused', [queue])));
    events.on('resumed', () => this.#tell(queue, () => fire('queue:resumed', [queue])));
    events.on('active', ({ jobId, prev = 'waiting' }) =>
      this.#tellOfJob(queue, jobId, 'job:active', {}, (job) => fire('job:active', [job, prev, queue])),
    );
    events.on('progress', ({ jobId, data }) =>
      this.#tellOfJob(queue, jobId, 'job:progress', { progress: data }, (job) =>
        fire('job:progress', [job, data, queue]),
      ),
    );
    events.on('completed', ({ jobId, returnvalue }) =>
      this.#tellOfJob(queue, jobId, 'job:completed', { returnvalue: JSON.stringify(returnvalue) }, (job) =>
        fire('job:completed', [job, isSealed(returnvalue) ? job.returnvalue : returnvalue, queue]),
      ),
    );
    events.on('failed', ({ jobId, failedReason }) =>
      this.#tellOfJob(queue, jobId, 'job:failed', { failedReason }, (job) =>
        fire('job:failed', [job, new Error(failedReason), queue]),
      ),
    );
  }

  /** `known` is what the event says of the job, in case it is gone. */
  #tellOfJob(
    queue: string,
    jobId: string,
    event: keyof JobEventMap,
    known: Partial<StoredJobJson>,
    tell: (job: Job) => void,
  ): void {
    if (!this.hasListener(event)) return;
    // Asked for at once, told in order.
    const reading = this.queueOf(queue).getJob(jobId);
    reading.catch(() => undefined);
    this.#tell(queue, async () => tell((await reading) ?? this.#goneJob(queue, jobId, known)));
  }

  #goneJob(queue: string, id: string, known: Partial<StoredJobJson> = {}): Job {
    return Job.fromJSON(this.queueOf(queue), { id, name: '', data: '{}', opts: {}, timestamp: 0, ...known });
  }

  #tell(queue: string, tell: () => void | Promise<void>): void {
    const told = (this.#last.get(queue) ?? Promise.resolve())
      .then(tell)
      .catch((error: Error) => this.#closed || this.failed(error, queue))
      .then(() => undefined);
    this.#last.set(queue, told);
  }
}
