// Stored time, and waiting for it, comes from the clock of a link, so that tests can move it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Reads or waits for the system's time. */
const SYSTEM_TIME =
  /\bInstant::now\b|\btokio::time::(sleep|sleep_until|interval|timeout|timeout_at)\b|\bsleep(_until)?\(/g;
/** Through the clock. */
const BY_CLOCK = /\bclock(\(\))?\.(sleep|sleep_until|rest)\(/;

/** What has nothing to do with stored time, and why. */
const ALLOWED: Record<string, string> = {
  'src/cache/database/tier.rs': 'how long a database may take, and is left alone when it failed',
  'src/cache/database/writer.rs': 'when expired rows are looked for; what has expired, the clock says',
  'src/cache/ending.rs': 'a pause before a database is tried again',
  'src/cache/bus.rs': 'when a message that may have been lost is made known',
  'src/cache/bus_listener.rs': 'a pause before a server is tried again',
  'src/cache/recovery.rs': 'a pause before a server is tried again',
  'src/cache/reporter.rs': 'how often an error is told of that no call had',
  'src/cache/lease.rs': 'how long another process that loads is waited for, and how often its lock is extended',
  'src/cache/remote_tier.rs':
    'how long a server that does not answer is left alone, and how long an answer is waited for',
  'src/pubsub/flow.rs': 'how often dropped messages are told of',
  'src/pubsub/publisher.rs': 'a pause before a server is tried again, and how long a publish may take',
  'src/queue/cancel_listener.rs': 'a pause before a server is tried again',
  'src/queue/lock_keeper.rs': 'when a renewal was asked for: without an answer for a lock duration, locks are given up',
  'src/queue/manual_worker.rs': 'how long a fetch by hand waits for a job',
  'src/queue/marker_watcher.rs': 'a pause before a server is tried again',
  'src/queue/queue_events.rs': 'a pause before a server is tried again',
  'src/queue/rests.rs': 'rests between the slices of long work, by what they took the server',
  'src/queue/scheduled_runs.rs': 'a pause before a server is tried again',
  'src/queue/stalled_checker.rs': 'a pause before a server is tried again',
  'src/queue/worker.rs': 'how long a close waits for processors',
  'src/queue/worker_call.rs': 'when a call was sent: after a lock duration without an answer its jobs are given up',
  'src/queue/worker_core.rs': 'how quickly jobs come back',
  'src/queue/worker_loop.rs': 'pauses before a server is tried again, and the look for markers that were lost',
};

function uses(path: string): string[] {
  const code = readFileSync(join(root, path), 'utf8').split('#[cfg(test)]')[0]!;
  return code
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('//') && !line.startsWith('use ') && !BY_CLOCK.test(line))
    .filter((line) => line.match(SYSTEM_TIME));
}

const files = ['cache', 'queue', 'scheduler', 'pubsub'].flatMap((engine) =>
  readdirSync(join(root, 'src', engine), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => join('src', engine, name)),
);

test('engines read and wait for time through the clock of their link', () => {
  const offenders = files.filter((path) => !(path in ALLOWED)).filter((path) => uses(path).length > 0);
  expect(offenders, 'use Clock, or say here why it is no stored time').toEqual([]);
});

/** What reads the time of this process in ts/, and why. */
const ALLOWED_IN_TS: Record<string, string> = {
  'compat/bullmq/job-scheduler.ts': 'refuses what has ended, as BullMQ does',
  'compat/bullmq/queue.ts': 'refuses what has ended, as BullMQ does',
  'compat/bullmq/redis-client.ts': 'a pause between two looks at a connection',
  'compat/bullmq/repeat.ts': "BullMQ's own function, which has no queue",
  'dead-letter-queue-service.ts': 'only where a job does not say when it ended',
  'service-time.ts': "the system's timers, which fake timers may move",
  'system-time.ts': 'where the others have it from',
  'telemetry/job-metrics.ts': 'how long jobs ran',
  'telemetry/job-tracing.ts': 'only where a job does not say when it ended',
  'testing/fake-timers.ts': 'follows the timers of a test',
  'testing/test-infra.ts': 'follows the timers of a test',
};

function readsTime(path: string): boolean {
  const code = readFileSync(join(root, 'ts', path), 'utf8').replace(/`(?:[^`\\]|\\.)*`|\/\/.*$|^\s*\*.*$/gm, '');
  return /\bDate\.now\b|(?<![.\w])set(Timeout|Interval|Immediate)\(/.test(code);
}

test('services have time and timers from their connection, or as they were when the package was loaded', () => {
  const sources = readdirSync(join(root, 'ts'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  expect(sources.filter((path) => !(path in ALLOWED_IN_TS) && readsTime(path))).toEqual([]);
  expect(Object.keys(ALLOWED_IN_TS).filter((path) => !readsTime(path))).toEqual([]);
});

test('every exception is still needed', () => {
  expect(Object.keys(ALLOWED).filter((path) => uses(path).length === 0)).toEqual([]);
});
