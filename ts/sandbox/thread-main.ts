// What a worker thread of a sandboxed processor runs. What nobody catches ends the thread and reaches the parent as an event.

import { parentPort } from 'node:worker_threads';
import type { ToSandbox } from './messages.js';
import { SandboxRunner } from './sandbox-runner.js';

const port = parentPort!;
const runner = new SandboxRunner({
  send(message, sent) {
    port.postMessage(message);
    sent?.();
  },
  exit: (code) => process.exit(code),
});
port.on('message', (message: ToSandbox) => runner.hear(message));
