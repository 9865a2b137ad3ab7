// What backends of the kinds that this package is made for write: their queue code with another import and another
// construction. The compiler checks it as strictly as theirs; the tests check what it does.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  CRON_PATTERNS,
  type DeadLetterData,
  DeadLetterQueueService,
  type Job,
  type JobOptions,
  JobScheduler,
  type JobsOptions,
  Queue,
  QueueEvents,
  QueueService,
  SchedulerService,
  Worker,
} from '../ts/index.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});
afterAll(() => server.stop());

function keep<T extends { close(): Promise<void> }>(one: T): T {
  open.push(one);
  return one;
}

describe('a shop that renders avatars, in the style of Bull', () => {
  enum QueueName {
    EMAIL = 'email',
    IMAGE_PROCESSING = 'image-processing',
    EXPORT = 'export',
    CLEANUP = 'cleanup',
  }

  interface ShopQueue {
    name: QueueName;
    concurrency: number;
    priority?: boolean;
    rateLimit?: { max: number; duration: number };
  }

  const shopQueues: ShopQueue[] = [
    { name: QueueName.EMAIL, concurrency: 10, rateLimit: { max: 100, duration: 60_000 } },
    { name: QueueName.IMAGE_PROCESSING, concurrency: 5, priority: true },
    { name: QueueName.EXPORT, concurrency: 3, priority: true },
    { name: QueueName.CLEANUP, concurrency: 1, priority: false },
  ];

  interface EmailJobData {
    to: string | string[];
    subject: string;
    template: string;
    context: Record<string, any>;
  }

  interface ImageJobData {
    fileId: string;
    operations: Array<{ type: 'resize' | 'convert'; params: Record<string, any> }>;
  }

  interface JobProcessor<T = any> {
    process(job: Job<T>): Promise<any>;
  }

  class EmailProcessor implements JobProcessor<EmailJobData> {
    constructor(private readonly outbox: string[]) {}

    async process(job: Job<EmailJobData>): Promise<void> {
      const { to, subject, template, context } = job.data;
      await job.log(`Sending email to ${to}`);
      await job.progress(0);
      try {
        if (context['broken']) throw new Error(`no template ${template}`);
        await job.progress(30);
        this.outbox.push(`${to}: ${subject}`);
        await job.progress(100);
        await job.log('Email sent');
      } catch (error) {
        await job.log(`Error: ${(error as Error).message}`);
        throw error;
      }
    }
  }

  class ImageProcessor implements JobProcessor<ImageJobData> {
    async process(job: Job<ImageJobData>): Promise<string[]> {
      const { operations } = job.data;
      const done: string[] = [];
      for (const [index, operation] of operations.entries()) {
        done.push(operation.type);
        await job.progress({ percent: ((index + 1) / operations.length) * 100 });
      }
      return done;
    }
  }

  function shop(): QueueService {
    return keep(
      new QueueService({
        redis: { url: server.url },
        prefix: uniquePrefix('shop'),
        defaultJobOptions: {
          attempts: 3,
          backoff: { type: 'exponential', delay: 10 },
          removeOnComplete: 100,
          removeOnFail: 1000,
          timeout: 60_000,
        },
        queues: shopQueues,
        settings: { lockDuration: 30_000, lockRenewTime: 15_000, stalledInterval: 30_000, maxStalledCount: 2 },
      }),
    );
  }

  test('jobs are added one by one and in bulk, with every option, and processed by objects', async () => {
    const queue = shop();
    const outbox: string[] = [];
    const emails = new EmailProcessor(outbox);
    queue.registerProcessor(QueueName.EMAIL, async (job) => emails.process(job));
    queue.registerProcessor(QueueName.IMAGE_PROCESSING, new ImageProcessor(), { concurrency: 3 });

    const options: JobOptions = {
      priority: 1,
      delay: 0,
      attempts: 2,
      backoff: 1000,
      lifo: false,
      timeout: 5000,
      removeOnComplete: false,
      removeOnFail: true,
      stackTraceLimit: 3,
      jobId: 'portrait-1',
    };
    const image: Job<ImageJobData> = await queue.addJob<ImageJobData>({
      queue: QueueName.IMAGE_PROCESSING,
      name: 'thumbnail',
      data: { fileId: 'f1', operations: [{ type: 'resize', params: { width: 64 } }] },
      options,
    });
    const mails: Job<EmailJobData>[] = await queue.addBulk<EmailJobData>({
      queue: QueueName.EMAIL,
      jobs: ['ada', 'bob'].map((to) => ({
        name: 'welcome',
        data: { to, subject: 'Hello', template: 'welcome', context: {} },
        options: { attempts: 1 },
      })),
    });
    expect(image.id).toBe('portrait-1');
    expect(image.opts).toMatchObject({ priority: 1, attempts: 2, backoff: 1000 });

    await waitFor(async () => (await image.getState()) === 'completed' && outbox.length === 2);
    const stored = await queue.getJob(QueueName.IMAGE_PROCESSING, 'portrait-1');
    expect(stored?.returnvalue).toEqual(['resize']);
    expect(stored?.progress()).toEqual({ percent: 100 });
    expect(outbox.sort()).toEqual(['ada: Hello', 'bob: Hello']);
    const [first] = mails;
    await waitFor(async () => (await first?.getState()) === 'completed');
    expect((await queue.getQueue(QueueName.EMAIL).getJobLogs(first?.id ?? '')).logs).toEqual([
      'Sending email to ada',
      'Email sent',
    ]);
  });

  test('jobs are looked at, changed, tried again and removed', async () => {
    const queue = shop();
    const job = await queue.addJob({ queue: QueueName.EXPORT, name: 'pdf', data: { userId: 'u', format: 'pdf' } });
    expect(await job.getState()).toBe('waiting');
    await job.update({ format: 'png' });
    expect((await queue.getJob(QueueName.EXPORT, job.id))?.data).toEqual({ userId: 'u', format: 'png' });
    expect(
      await queue.getJobs({ queue: QueueName.EXPORT, state: ['waiting', 'delayed'], start: 0, end: 9 }),
    ).toHaveLength(1);
    await job.remove();
    expect(await queue.getJob(QueueName.EXPORT, job.id)).toBeNull();

    let isUp = false;
    queue.registerProcessor(QueueName.EXPORT, async () => {
      if (!isUp) throw new Error('renderer is down');
    });
    const failing = await queue.addJob({ queue: QueueName.EXPORT, name: 'pdf', data: {}, options: { attempts: 1 } });
    await waitFor(async () => (await failing.getState()) === 'failed');
    isUp = true;
    await queue.retryJob(QueueName.EXPORT, failing.id);
    await waitFor(async () => (await failing.getState()) === 'completed');
    await queue.removeJob(QueueName.EXPORT, failing.id);
    expect(await failing.getState()).toBe('unknown');
  });

  test('queues are counted, paused, resumed, emptied and cleaned', async () => {
    const queue = shop();
    await queue.pauseQueue(QueueName.CLEANUP);
    await queue.addJob({ queue: QueueName.CLEANUP, name: 'temp', data: { type: 'temp_files' } });
    const nextRun = await queue.addScheduledJob<{ type: string }>({
      queue: QueueName.CLEANUP,
      name: 'sessions',
      data: { type: 'sessions' },
      cron: '0 * * * *',
    });
    expect(nextRun.data.type).toBe('sessions');
    expect(await queue.getQueueMetrics(QueueName.CLEANUP)).toEqual({
      waiting: 0,
      active: 0,
      completed: 0,
      failed: 0,
      delayed: 1,
      paused: 1,
      total: 2,
    });
    queue.registerProcessor(QueueName.CLEANUP, async () => undefined);
    const cleaned = new Promise<[string[], string]>((resolve) =>
      queue.on('queue:cleaned', (jobs, type) => resolve([jobs, type])),
    );
    await queue.resumeQueue(QueueName.CLEANUP);
    await waitFor(async () => (await queue.getQueueMetrics(QueueName.CLEANUP)).completed === 1);
    expect(await queue.cleanQueue({ queue: QueueName.CLEANUP, grace: 0, status: 'completed' })).toBe(1);
    expect(await cleaned).toEqual([[expect.any(String)], 'completed']);
    await queue.addJob({ queue: QueueName.EMAIL, name: 'later', data: {}, options: { delay: 60_000 } });
    await queue.emptyQueue(QueueName.EMAIL);
    const metrics: Record<string, { total: number }> = await queue.getQueueMetrics();
    expect(Object.keys(metrics).sort()).toEqual(Object.values(QueueName).sort());
    expect(metrics[QueueName.EMAIL]?.total).toBe(0);
    await expect(
      queue.addJob({ queue: QueueName.CLEANUP, name: 'first', data: {}, options: { priority: 1 } }),
    ).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  });

  test('listeners hear of jobs, queues and workers, and alert on critical ones', async () => {
    const queue = shop();
    const heard: string[] = [];
    const alerts: { severity: string; message: string; details: object }[] = [];
    queue.on('job:added', (jobId) => heard.push(`added ${jobId}`));
    queue.on('job:waiting', (jobId) => heard.push(`waiting ${jobId}`));
    queue.on('job:active', (job, previousState) => heard.push(`active ${job.id} ${previousState}`));
    queue.on('job:progress', (job, progress) => heard.push(`progress ${job.id} ${progress}`));
    queue.on('job:completed', (job, result) => heard.push(`completed ${job.id} ${result}`));
    queue.on('job:stalled', (jobId) => heard.push(`stalled ${jobId}`));
    queue.on('job:removed', (job) => heard.push(`removed ${job.id} ${job.queueName}`));
    queue.on('job:failed', async (job, error) => {
      heard.push(`failed ${job.id}`);
      if (job.opts.priority === 1) {
        alerts.push({
          severity: 'high',
          message: `Critical job failed: ${job.name}`,
          details: { jobId: job.id, error: error.message, data: job.data, attemptsMade: job.attemptsMade },
        });
      }
    });
    queue.on('queue:paused', () => heard.push('paused'));
    queue.on('queue:resumed', () => heard.push('resumed'));
    queue.on('queue:error', (error) => heard.push(`queue error ${error.message}`));
    queue.on('worker:active', (job) => heard.push(`worker active ${job.id}`));
    queue.on('worker:completed', (job, result) => heard.push(`worker completed ${job.id} ${result}`));
    queue.on('worker:failed', (job, error) => heard.push(`worker failed ${job.id} ${error.message}`));
    queue.on('worker:error', (error) => heard.push(`worker error ${error.message}`));
    await queue.initialize();

    await queue.pauseQueue(QueueName.EXPORT);
    await queue.resumeQueue(QueueName.EXPORT);
    queue.registerProcessor(QueueName.EXPORT, async (job) => {
      await job.progress(50);
      if (job.name === 'bad') throw new Error('no disk');
      return 'file.pdf';
    });
    const add = (name: string, options: JobOptions) =>
      queue.addJob({ queue: QueueName.EXPORT, name, data: { for: name }, options: { attempts: 1, ...options } });
    await add('good', { jobId: 'good' });
    await waitFor(() => heard.includes('completed good file.pdf') && heard.includes('worker completed good file.pdf'));
    await add('bad', { jobId: 'bad', priority: 1 });
    await waitFor(() => heard.includes('failed bad') && heard.includes('worker failed bad no disk'));
    await queue.removeJob(QueueName.EXPORT, 'good');
    await waitFor(() => heard.includes('removed good export'));

    expect(heard).toEqual(expect.arrayContaining(['paused', 'resumed', 'worker active good']));
    expect(heard.filter((line) => line.includes(' good') && !line.startsWith('worker'))).toEqual([
      'added good',
      'waiting good',
      'active good waiting',
      'progress good 50',
      'completed good file.pdf',
      'removed good export',
    ]);
    expect(alerts).toEqual([
      {
        severity: 'high',
        message: 'Critical job failed: bad',
        details: { jobId: 'bad', error: 'no disk', data: { for: 'bad' }, attemptsMade: 1 },
      },
    ]);
  });

  test('listeners are told of a job that is gone by then, too', async () => {
    const queue = shop();
    const failed = new Promise<[Job, Error]>((resolve) =>
      queue.on('job:failed', (job, error) => resolve([job, error])),
    );
    await queue.initialize();
    queue.registerProcessor(QueueName.EXPORT, async () => {
      throw new Error('no disk');
    });
    const options = { attempts: 1, removeOnFail: true };
    const { id } = await queue.addJob({ queue: QueueName.EXPORT, name: 'pdf', data: { a: 1 }, options });
    const [job, error] = await failed;
    expect([job.id, job.queueName, job.data, job.failedReason]).toEqual([id, 'export', {}, 'no disk']);
    expect(error.message).toBe('no disk');
  });

  test('recurring jobs are added, listed and removed', async () => {
    const schedules = keep(new SchedulerService({ redis: { url: server.url }, prefix: uniquePrefix('shop') }));
    const jobs = [
      { name: 'cleanup-temp-files', queue: QueueName.CLEANUP, cron: '0 2 * * *', data: { type: 'temp_files' } },
      { name: 'expire-sessions', queue: QueueName.CLEANUP, cron: '0 * * * *', data: { type: 'sessions' } },
    ];
    for (const job of jobs) await schedules.addRepeatable(job);
    const endDate = new Date(Date.now() + 86_400_000);
    await schedules.addRepeatable({
      queue: QueueName.EXPORT,
      name: 'report',
      data: {},
      cron: '*/5 * * * *',
      options: { startDate: new Date(), endDate, limit: 3, timezone: 'Europe/Berlin' },
    });
    const found = await schedules.getRepeatableJobs(QueueName.CLEANUP);
    expect(found.map(({ name, cron }) => [name, cron]).sort()).toEqual(
      jobs.map(({ name, cron }) => [name, cron]).sort(),
    );
    for (const { key, next } of found) {
      expect(key).toEqual(expect.any(String));
      expect(next.getTime()).toBeGreaterThan(Date.now());
    }
    expect((await schedules.getRepeatableJobs(QueueName.EXPORT))[0]?.endDate).toEqual(endDate);
    await schedules.removeRepeatable({ queue: QueueName.CLEANUP, name: 'expire-sessions', cron: '0 * * * *' });
    expect(await schedules.getRepeatableJobs(QueueName.CLEANUP)).toHaveLength(1);
  });
});

describe('a story platform with typed job maps, in the style of BullMQ', () => {
  const QUEUE_NAMES = { EMAIL: 'email', NOTIFICATION: 'notification', CLEANUP: 'cleanup' } as const;
  type QueueName = (typeof QUEUE_NAMES)[keyof typeof QUEUE_NAMES];

  interface EmailJobPayload {
    to: string;
    template: 'welcome' | 'password-reset';
    context: Record<string, unknown>;
  }
  interface JobPayload {
    email: EmailJobPayload;
    notification: { userId: string; title: string; metadata?: Record<string, unknown> };
    cleanup: { type: 'autosave' | 'sessions'; olderThan: Date };
  }
  interface JobResult {
    email: { sent: boolean; messageId?: string };
    notification: { delivered: boolean };
    cleanup: { deletedCount: number };
  }

  const DEFAULT_JOB_OPTIONS: JobsOptions = {
    attempts: 3,
    backoff: { type: 'exponential', delay: 1000 },
    removeOnComplete: { count: 100, age: 24 * 60 * 60 },
    removeOnFail: { count: 500, age: 7 * 24 * 60 * 60 },
  };
  const QUEUE_SETTINGS = {
    email: { concurrency: 10, limiter: { max: 100, duration: 60_000 } },
    notification: { concurrency: 20 },
  } as const;

  class StoryQueues extends QueueService<JobPayload, JobResult> {
    async sendEmail(payload: JobPayload['email']): Promise<Job> {
      return this.addJob('email', payload);
    }

    async addTyped<T extends QueueName>(
      name: T,
      data: JobPayload[T],
      options?: JobsOptions,
    ): Promise<Job<JobPayload[T]>> {
      return this.addJob(name, data, { ...DEFAULT_JOB_OPTIONS, ...options });
    }
  }

  class EmailProcessor {
    async process(job: Job<EmailJobPayload>): Promise<JobResult['email']> {
      return { sent: true, messageId: `msg_${job.data.to}` };
    }
  }

  test('a service with shortcuts of its own adds typed jobs and registers typed processors', async () => {
    const prefix = uniquePrefix('story');
    const queues = keep(
      new StoryQueues({ redis: { url: server.url }, prefix, defaultJobOptions: DEFAULT_JOB_OPTIONS }),
    );
    await queues.initialize();
    const emails = new EmailProcessor();
    queues.registerProcessor('email', (job) => emails.process(job), QUEUE_SETTINGS.email);
    queues.registerProcessor('notification', async () => ({ delivered: false }), QUEUE_SETTINGS.notification);
    // One that is registered again takes the place of the first.
    queues.registerProcessor('notification', async (job) => ({ delivered: job.data.title !== '' }));

    const email = await queues.sendEmail({ to: 'ada', template: 'welcome', context: {} });
    const note = await queues.addTyped('notification', { userId: 'u1', title: 'New chapter' });
    const bulk = await queues.addBulkJobs('notification', [
      { data: { userId: 'u2', title: 'Reply' }, options: { priority: 2 } },
      { data: { userId: 'u3', title: '' } },
    ]);
    const events = keep(new QueueEvents('notification', { redis: { url: server.url }, prefix }));
    await waitFor(async () => (await queues.getJob('email', email.id))?.returnvalue?.messageId === 'msg_ada');
    expect(await note.waitUntilFinished(events, 10_000)).toEqual({ delivered: true });
    expect(await Promise.all(bulk.map((job) => job.waitUntilFinished(events, 10_000)))).toEqual([
      { delivered: true },
      { delivered: false },
    ]);
    expect((await queues.getQueue('email').getJob(email.id))?.opts).toMatchObject(DEFAULT_JOB_OPTIONS);
    await queues.destroy();
    await expect(queues.sendEmail({ to: 'bob', template: 'welcome', context: {} })).rejects.toMatchObject({
      code: 'ERR_CLOSED',
    });
  });

  test('queues, workers and events of each name may also be made one by one', async () => {
    const connection = { url: server.url };
    const prefix = uniquePrefix('story');
    const queues = new Map<QueueName, Queue>();
    const events = new Map<QueueName, QueueEvents>();
    for (const queueName of Object.values(QUEUE_NAMES)) {
      queues.set(queueName, keep(new Queue(queueName, { connection, prefix })));
      events.set(queueName, keep(new QueueEvents(queueName, { connection, prefix })));
    }
    const logged: string[] = [];
    const processor = async (job: Job<EmailJobPayload>): Promise<JobResult['email']> => ({
      sent: job.data.to === 'ada',
    });
    const worker = keep(
      new Worker(
        QUEUE_NAMES.EMAIL,
        async (job) => {
          try {
            return await processor(job);
          } finally {
            logged.push(`processed ${job.id}`);
          }
        },
        { connection, prefix, concurrency: 5 },
      ),
    );
    worker.on('failed', (job, err) => logged.push(`failed ${job?.id} ${err.message}`));
    worker.on('error', (err) => logged.push(`error ${err.message}`));
    const email = queues.get('email');
    const heard = events.get('email');
    if (!email || !heard) throw new Error('not made');
    const [job] = await email.addBulk([{ name: 'email', data: { to: 'ada' }, opts: { ...DEFAULT_JOB_OPTIONS } }]);
    expect(await job?.waitUntilFinished(heard, 10_000)).toEqual({ sent: true });
    expect(logged).toEqual([`processed ${job?.id}`]);
  });

  test('scheduled jobs are registered at the start, upserted and removed', async () => {
    interface ScheduledJobConfig {
      name: string;
      cron: string;
      data?: Record<string, unknown>;
      options?: JobsOptions;
      description: string;
    }
    const SCHEDULED_JOBS: ScheduledJobConfig[] = [
      { name: 'cleanup-old-autosaves', cron: '0 3 * * *', data: { daysOld: 30 }, description: 'old autosaves' },
      { name: 'health-check', cron: CRON_PATTERNS.EVERY_5_MINUTES, data: {}, description: 'is it up' },
    ];
    const prefix = uniquePrefix('story');
    const queue = keep(new Queue('scheduled-jobs', { redis: { url: server.url }, prefix }));
    for (const job of SCHEDULED_JOBS) {
      await queue.upsertJobScheduler(
        job.name,
        { pattern: job.cron },
        { name: job.name, data: job.data || {}, opts: job.options },
      );
    }
    const scheduler = keep(new SchedulerService({ redis: { url: server.url }, prefix }));
    await scheduler.initialize();
    await scheduler.upsertScheduledJob('health-check', CRON_PATTERNS.EVERY_MINUTE, { deep: true });
    expect((await scheduler.getScheduledJobs()).map(({ name, cron }) => [name, cron]).sort()).toEqual([
      ['cleanup-old-autosaves', '0 3 * * *'],
      ['health-check', '* * * * *'],
    ]);
    await scheduler.removeScheduledJob('cleanup-old-autosaves');
    expect(await queue.getJobSchedulersCount()).toBe(1);
    await scheduler.destroy();
  });
});

describe('a project platform with workers, dead letters and a scheduler by hand', () => {
  enum JobType {
    SEND_EMAIL = 'send-email',
    CLEANUP_OLD_DATA = 'cleanup-old-data',
  }
  interface EmailJobData {
    to: string;
    subject: string;
    data: Record<string, any>;
  }
  interface ReportJobData {
    format: 'pdf' | 'csv';
  }

  const sent: string[] = [];

  class Processors {
    static async processEmail(job: Job<EmailJobData>): Promise<void> {
      sent.push(job.data.to);
      await job.updateProgress(100);
    }

    static async processReport(job: Job<ReportJobData>): Promise<void> {
      await job.updateProgress(10);
      throw new Error(`Report generation failed: ${job.data.format}`);
    }
  }

  class WorkerManager {
    private workers: Worker[] = [];

    constructor(
      private readonly connection: { url: string },
      private readonly prefix: string,
      private readonly log: (line: string) => void,
    ) {}

    async startWorkers(): Promise<void> {
      const { connection, prefix } = this;
      const emailWorker = new Worker('email', Processors.processEmail, {
        connection,
        prefix,
        concurrency: 5,
        limiter: { max: 100, duration: 60_000 },
      });
      const reportWorker = new Worker('report', Processors.processReport, { connection, prefix, concurrency: 2 });
      this.workers = [emailWorker, reportWorker];
      this.workers.forEach((worker) => {
        worker.on('failed', (job, err) => this.log(`Job ${job?.id} failed: ${err.message}`));
        worker.on('completed', (job) => this.log(`Job ${job.id} completed`));
      });
    }

    async stopWorkers(): Promise<void> {
      await Promise.all(this.workers.map((worker) => worker.close()));
    }
  }

  test('workers are started and stopped together, and report', async () => {
    const connection = { url: server.url };
    const prefix = uniquePrefix('project');
    const emailQueue = keep(new Queue('email', { connection, prefix }));
    const reportQueue = keep(new Queue('report', { connection, prefix }));
    const lines: string[] = [];
    const manager = new WorkerManager(connection, prefix, (line) => lines.push(line));
    await manager.startWorkers();
    const email = await emailQueue.add(JobType.SEND_EMAIL, { to: 'ada', subject: 'Hi', data: {} });
    const report = await reportQueue.add('report', { format: 'pdf' });
    await waitFor(() => lines.length === 2);
    await manager.stopWorkers();
    expect(lines.sort()).toEqual(
      [`Job ${email.id} completed`, `Job ${report.id} failed: Report generation failed: pdf`].sort(),
    );
    expect(sent).toEqual(['ada']);
    expect((await emailQueue.getJob(email.id))?.progress()).toBe(100);
  });

  test('jobs are scheduled by queue and type, at once and again and again', async () => {
    const prefix = uniquePrefix('project');
    const queues = keep(new QueueService({ redis: { url: server.url }, prefix, queues: ['email', 'cleanup'] }));
    const jobScheduler = new JobScheduler(queues);
    const job: Job<EmailJobData> = await jobScheduler.scheduleJob<EmailJobData>(
      'email',
      JobType.SEND_EMAIL,
      { to: 'ada', subject: 'Hi', data: {} },
      { delay: 60_000, backoff: { type: 'fixed', delay: 5 } },
    );
    expect(job.opts).toMatchObject({ attempts: 3, backoff: { type: 'fixed', delay: 5 }, delay: 60_000 });
    await jobScheduler.scheduleRecurringJob('cleanup', JobType.CLEANUP_OLD_DATA, { type: 'daily' }, '0 2 * * *');
    const [schedule] = await queues.getQueue('cleanup').getJobSchedulers();
    expect(schedule).toMatchObject({ name: JobType.CLEANUP_OLD_DATA, pattern: '0 2 * * *' });
    await expect(jobScheduler.scheduleJob('nowhere', JobType.SEND_EMAIL, {})).rejects.toMatchObject({
      code: 'ERR_QUEUE_NOT_FOUND',
    });
  });

  test('a job that fails for good becomes a dead letter, and is tried again from it', async () => {
    const queues = keep(new QueueService({ redis: { url: server.url }, prefix: uniquePrefix('project') }));
    const deadLetters = new DeadLetterQueueService(queues);
    let isUp = false;
    const tried: string[] = [];
    queues.registerProcessor('email', async (job) => {
      tried.push(`${job.name} ${job.opts.attempts} ${job.opts.priority ?? 0}`);
      if (!isUp) throw new Error('mail server is down');
    });
    const handled: Promise<void>[] = [];
    queues.on('worker:failed', (job, error) => {
      if (job.attemptsMade >= (job.opts.attempts ?? 1)) handled.push(deadLetters.handleFailedJob(job, error));
    });
    const job = await queues.addJob({ queue: 'email', name: JobType.SEND_EMAIL, data: { to: 'ada' } });
    await waitFor(() => handled.length === 1);
    await handled[0];
    const { letters } = await deadLetters.list();
    const letter: DeadLetterData | undefined = letters[0]?.data;
    expect(letter).toMatchObject({
      originalQueue: 'email',
      originalJobType: JobType.SEND_EMAIL,
      originalJobId: job.id,
      originalData: { to: 'ada' },
      error: 'mail server is down',
      failedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      attemptsMade: 1,
    });
    isUp = true;
    if (!letter) throw new Error('no letter');
    await deadLetters.retryFailedJob(letter);
    await waitFor(() => tried.length === 2);
    expect(tried).toEqual(['send-email 0 0', 'send-email 1 10']);
  });
});
