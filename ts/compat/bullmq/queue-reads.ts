import { fieldsOf, type WorkerEntry } from '../../worker-entry.js';
import type { QueueBackend } from './queue-backend.js';
import { jobJsonOf } from './stored-job.js';
import type { JobJson, JobType } from './types.js';

/** Ids of jobs in some states, each once. */
export async function getRanges(
  backend: QueueBackend,
  types: readonly JobType[],
  start: number,
  end: number,
  asc: boolean,
): Promise<string[]> {
  const { client } = backend;
  const ranges = types.map(async (type) => {
    const key = backend.toKey(type === 'waiting' ? 'wait' : type);
    if (type !== 'waiting' && type !== 'wait' && type !== 'active' && type !== 'paused') {
      return asc ? client.zrange(key, start, end) : client.zrevrange(key, start, end);
    }
    // New jobs enter a list at its head.
    return asc ? (await client.lrange(key, -(end + 1), -(start + 1))).reverse() : client.lrange(key, start, end);
  });
  return [...new Set((await Promise.all(ranges)).flat())];
}

/** Children of a job. */
export async function getDependencies(
  backend: QueueBackend,
  parentId: string,
  type: 'processed' | 'pending',
  start: number,
  end: number,
): Promise<{ items: { id: string; v?: any; err?: string }[]; jobs: JobJson[]; total: number }> {
  const { client } = backend;
  const items =
    type === 'processed'
      ? Object.entries(await client.hgetall(backend.toKey(`${parentId}:processed`))).map(([id, value]) =>
          childValue(id, value),
        )
      : (await client.smembers(backend.toKey(`${parentId}:dependencies`))).map((id) => ({ id }));
  const page = items.slice(start, end < 0 ? undefined : end + 1);
  const hashes = client.pipeline();
  for (const { id } of page) hashes.hgetall(id);
  const jobs = (await hashes.exec()).flatMap(([error, hash], index) =>
    error || Object.keys(hash).length === 0 ? [] : [jobJsonOf(page[index]!.id.split(':').at(-1) as string, hash)],
  );
  return { items: page, jobs, total: items.length };
}

function childValue(id: string, value: string): { id: string; v?: any; err?: string } {
  try {
    return { id, v: JSON.parse(value) };
  } catch (error) {
    return { id, err: (error as Error).message };
  }
}

/** The connections of a name. */
export function queueEventsOf(queue: string, clientName: string, clients: string): WorkerEntry[] {
  return clients
    .split(/\r?\n/)
    .map(fieldsOf)
    .filter(({ name }) => name === clientName)
    .map((client) => ({ ...(client as WorkerEntry), name: queue, rawname: clientName }));
}
