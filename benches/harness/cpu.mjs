// CPU time of the main thread and of the whole process, in microseconds.
import { readFileSync } from 'node:fs';

/** The main thread's time on a CPU. Linux keeps it in nanoseconds; elsewhere only the process total is known. */
export function mainThreadMicros() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ', 1)[0]) / 1000;
  } catch {
    return Number.NaN;
  }
}

export function processMicros() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Starts a measurement; the returned function ends it. */
export function measure() {
  const main = mainThreadMicros();
  const total = processMicros();
  const wall = performance.now();
  return () => ({
    mainMicros: mainThreadMicros() - main,
    totalMicros: processMicros() - total,
    seconds: (performance.now() - wall) / 1000,
  });
}
