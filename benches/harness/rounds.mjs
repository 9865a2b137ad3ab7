// Alternating rounds: every contender in a fresh process, A B C A B C, so that a slow minute of the machine hits all.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD_DEADLINE_MS = 900_000;

/** Runs `script` with `job` as its argument; the child's last line of output is its result as JSON. */
export function runChild(script, job) {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      ['--expose-gc', fileURLToPath(script), JSON.stringify(job)],
      { timeout: CHILD_DEADLINE_MS, killSignal: 'SIGKILL', env: { ...process.env, NODE_ENV: 'production' } },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${JSON.stringify(job)}: ${error.message}\n${stderr}`));
        else resolve(JSON.parse(stdout.trim().split('\n').at(-1)));
      },
    );
  });
}

/** Runs every contender `rounds` times, alternating. Resolves to a map of contender to its results. */
export async function alternate({ script, contenders, rounds, job }) {
  const results = new Map(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) {
      results.get(contender).push(await runChild(script, { ...job, contender }));
    }
  }
  return results;
}
