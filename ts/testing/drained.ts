import { createError } from '../errors.js';
import type { Job } from '../job.js';
import type { Queue } from '../queue.js';
import { systemNow } from '../system-time.js';
import type { TestClock } from './test-clock.js';

/** Between two looks, in milliseconds of the system's time, where no running job ends in between. */
const PAUSE = 5;
/** Jobs that a message names of each state. */
const NAMED = 5;

/** Resolves when a queue has nothing that waits, runs or is due. */
export async function drained(
  queue: Queue,
  clock: TestClock,
  settled: () => Promise<void>,
  timeoutMs: number,
): Promise<void> {
  const deadline = systemNow() + timeoutMs;
  for (;;) {
    await settled();
    const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
    const [soonest] = (counts['delayed'] ?? 0) > 0 ? await queue.getDelayed(0, 0) : [];
    const due = soonest !== undefined && dueAt(soonest) <= clock.now ? 1 : 0;
    if ((counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0) + (counts['active'] ?? 0) + due === 0) return;
    if (systemNow() > deadline) throw await stuck(queue, timeoutMs);
    await clock.changed(PAUSE);
  }
}

function dueAt(job: Job): number {
  return job.timestamp + job.delay;
}

async function stuck(queue: Queue, timeoutMs: number): Promise<Error> {
  const parts: string[] = [];
  const [active, waiting, isPaused] = await Promise.all([
    queue.getJobs('active', 0, NAMED - 1, true),
    queue.getJobs(['waiting', 'prioritized'], 0, NAMED - 1, true),
    queue.isPaused(),
  ]);
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active');
  const held = (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0);
  if (active.length > 0) parts.push(`${counts['active']} running (${names(active)}) whose processors have not ended`);
  if (held > 0) parts.push(`${held} waiting (${names(waiting)})${whyWaiting(isPaused, active.length)}`);
  if (parts.length === 0) parts.push('a delayed job that is due and that no worker takes');
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `queue ${queue.name} did not drain within ${timeoutMs} ms: ${parts.join('; ')}`,
    details: { queue: queue.name, limit: timeoutMs },
  });
}

function whyWaiting(isPaused: boolean, active: number): string {
  if (isPaused) return ' because the queue is paused';
  return active > 0 ? ' behind them' : ' that no worker takes';
}

function names(jobs: readonly Job[]): string {
  const listed = jobs.slice(0, NAMED).map((job) => (job.name === '' ? job.id : `${job.name} ${job.id}`));
  return `${listed.join(', ')}${jobs.length >= NAMED ? ', ...' : ''}`;
}
