// What a child process of a sandboxed processor runs.

import { Worker } from 'node:worker_threads';
import type { ToSandbox } from './messages.js';
import { SandboxRunner } from './sandbox-runner.js';

const runner = new SandboxRunner({
  send(message, sent) {
    // Without a channel the parent is gone, and `disconnect` ends this process.
    if (!process.connected) sent?.();
    else process.send!(message, undefined, undefined, () => sent?.());
  },
  exit: (code) => process.exit(code),
});

process.on('message', (message) => runner.hear(message as ToSandbox));
process.on('uncaughtException', (error) => runner.crash(error));
// A signal to the process group reaches parent and children: the parent waits for running jobs, so must they.
process.on('SIGTERM', () => runner.stop());
process.on('SIGINT', () => runner.stop());
process.once('disconnect', () => process.exit(1));
watchParent();

/**
 * Ends this process when its parent is gone although the event loop is blocked and hears nothing: a thread looks who
 * the parent is.
 */
function watchParent(): void {
  const parent = process.ppid;
  const isGone =
    process.platform === 'win32'
      ? `(() => { try { process.kill(${parent}, 0); return false; } catch { return true; } })()`
      : `process.ppid !== ${parent}`;
  const watch = `setInterval(() => { if (${isGone}) process.kill(process.pid, 'SIGKILL'); }, 500);`;
  new Worker(watch, { eval: true, execArgv: [], env: {}, stdin: false }).unref();
}
