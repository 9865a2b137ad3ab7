/** What workers with the option `metrics` have counted. */
export interface FinishedJobMetrics {
  meta: {
    /** Finished jobs in all. */
    count: number;
    /** When the last minute was closed (milliseconds since the epoch), and the count then. */
    prevTS: number;
    prevCount: number;
  };
  /** Jobs in each minute, the latest first. */
  data: number[];
  /** Minutes that are kept. */
  count: number;
}

/** The lines of one queue in the text format of Prometheus, under the names that BullMQ gives them. */
export function prometheusText(
  queue: string,
  counts: Record<string, number>,
  completed: number,
  failed: number,
  labels: Record<string, string>,
): string {
  const more = Object.entries(labels).map(([name, value]) => `, ${name}="${escaped(value)}"`);
  const line = (name: string, state: string, value: number) =>
    `${name}{queue="${escaped(queue)}"${state}${more.join('')}} ${value}`;
  return [
    '# HELP bullmq_job_count Number of jobs in the queue by state',
    '# TYPE bullmq_job_count gauge',
    ...Object.entries(counts)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([state, count]) => line('bullmq_job_count', `, state="${state}"`, count)),
    '# HELP bullmq_job_completed_total Total number of completed jobs',
    '# TYPE bullmq_job_completed_total counter',
    line('bullmq_job_completed_total', '', completed),
    '# HELP bullmq_job_failed_total Total number of failed jobs',
    '# TYPE bullmq_job_failed_total counter',
    line('bullmq_job_failed_total', '', failed),
  ].join('\n');
}

function escaped(value: string): string {
  return String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
