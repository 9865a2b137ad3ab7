import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type WorkerOptions as ThreadOptions, Worker } from 'node:worker_threads';
import { createError } from '../errors.js';
import { startTimeout, stopTimeout } from '../system-time.js';
import type { FromSandbox, ToSandbox } from './messages.js';

/** What a channel tells. */
export interface ChannelEvents {
  message(message: FromSandbox): void;
  /** The sandbox has ended; told once. `error` is what it threw and nobody caught. */
  gone(how: string, error?: Error): void;
}

/** The way to a sandbox, which may be a child process or a worker thread. */
export interface Channel {
  /** Nothing happens when the sandbox is gone: `gone` tells. */
  send(message: ToSandbox): void;
  /** Ends it at once, whatever it does. */
  kill(): void;
}

/** How sandboxes are made. */
export type Launch = (events: ChannelEvents) => Channel;

/** How long the messages of a process that has ended may take. */
const LAST_MESSAGES_MS = 1_000;

/** Child processes of this process, which must not outlive it. */
const children = new Set<ChildProcess>();
let isWatching = false;

/** Sandboxes as child processes. */
export function processLaunch(options: ForkOptions, execArgv: readonly string[]): Launch {
  const main = entry('process-main.js');
  return (events) => {
    const child = fork(main, [], { ...options, execArgv: [...execArgv], serialization: 'advanced' });
    keep(child);
    let isGone = false;
    const gone = (how: string) => {
      children.delete(child);
      if (!isGone) events.gone(how);
      isGone = true;
    };
    child.on('message', (message) => events.message(message as FromSandbox));
    child.on('error', (error) => {
      // Also what a send to a process that is ending gives; `exit` follows then.
      if (child.pid === undefined) gone(`could not be started: ${error.message}`);
    });
    child.on('exit', (code, signal) => {
      const how = signal === null ? `ended with exit code ${code}` : endedBy(signal);
      if (!child.connected) return gone(how);
      // Its last messages may still be on their way.
      const limit = startTimeout(() => gone(how), LAST_MESSAGES_MS);
      child.once('disconnect', () => {
        stopTimeout(limit);
        gone(how);
      });
    });
    return {
      send: (message) => {
        if (child.connected) child.send(message, () => undefined);
      },
      kill: () => child.kill('SIGKILL'),
    };
  };
}

/** Sandboxes as worker threads of this process. */
export function threadLaunch(options: ThreadOptions, execArgv: readonly string[] | undefined): Launch {
  const main = entry('thread-main.js');
  return (events) => {
    const thread = new Worker(main, execArgv ? { ...options, execArgv: [...execArgv] } : options);
    let thrown: Error | undefined;
    thread.on('message', (message: FromSandbox) => events.message(message));
    thread.on('error', (error) => {
      thrown = error as Error;
    });
    thread.on('exit', (code) => {
      const isOutOfMemory = (thrown as { code?: string } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY';
      events.gone(
        isOutOfMemory ? 'ran out of memory' : `ended with exit code ${code}`,
        isOutOfMemory ? undefined : thrown,
      );
    });
    return {
      send: (message) => thread.postMessage(message),
      kill: () => void thread.terminate(),
    };
  };
}

function endedBy(signal: NodeJS.Signals): string {
  // What V8 does when the heap is full.
  const likely = signal === 'SIGABRT' ? ', most likely because it ran out of memory' : '';
  return `was ended by ${signal}${likely}`;
}

/** Children end with this process also where it does not close its workers; when it is killed they see that themselves. */
function keep(child: ChildProcess): void {
  children.add(child);
  if (isWatching) return;
  isWatching = true;
  process.once('exit', () => {
    for (const one of children) one.kill('SIGKILL');
  });
}

/** The program of a sandbox, from `dist` also when this runs from the sources. */
function entry(name: string): string {
  const path = join(__dirname, '..', '..', 'dist', 'sandbox', name);
  if (existsSync(path)) return path;
  throw createError({
    code: 'ERR_INTERNAL',
    message: `${path} does not exist, which sandboxed processors need; a bundler must leave the package oxcart out`,
  });
}
