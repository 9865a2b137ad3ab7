/**
 * A worker as a queue lists it. All values are texts, as those of `CLIENT LIST`, from which BullMQ makes the same list.
 */
export interface WorkerEntry {
  /** Id of the worker, or of the connection of a worker of another package. */
  id: string;
  /** Name of the queue. */
  name: string;
  /** `prefix:` and the queue's name in base64, and the worker's name after `:w:` where it has one. */
  rawname: string;
  /** Where it is: host and process, or for a worker of another package the address of its connection. */
  addr: string;
  /** Seconds since it started. */
  age: string;
  [field: string]: string;
}

/** The name of a client that works on a queue, as stock BullMQ gives it. */
export function workerClientName(prefix: string, queue: string, worker?: string): string {
  const name = `${prefix}:${Buffer.from(queue).toString('base64')}`;
  return worker ? `${name}:w:${worker}` : name;
}

/** What a worker of ours says of itself. */
export interface ListedWorker {
  id: string;
  name: string | null;
  host: string | null;
  pid: number;
  startedAt: number;
  /** It has a connection of its own by which it stands among the clients. */
  visible?: boolean;
}

/** The workers of a queue: ours as they say themselves, those of other packages by the names of their connections. */
export function workersOf(
  prefix: string,
  queue: string,
  clients: string,
  ours: readonly ListedWorker[],
  now: number,
): WorkerEntry[] {
  const unnamed = workerClientName(prefix, queue);
  const connections = clients.split(/\r?\n/).map(fieldsOf);
  const named = connections.filter(({ name }) => name === unnamed || name?.startsWith(`${unnamed}:w:`));
  return [
    ...named.map((client) => ({ ...(client as WorkerEntry), name: queue, rawname: client['name'] as string })),
    ...ours
      .filter(({ visible }) => !visible)
      .map(({ id, name, host, pid, startedAt }) => ({
        id,
        name: queue,
        rawname: workerClientName(prefix, queue, name ?? undefined),
        age: String(Math.max(0, Math.floor((now - startedAt) / 1000))),
        addr: `${host ?? ''}:${pid}`,
        host: host ?? '',
        pid: String(pid),
      })),
  ];
}

/** `id=7 addr=127.0.0.1:5000 name=…` as an object. */
export function fieldsOf(line: string): Record<string, string> {
  const pairs = line.split(' ').map((field) => {
    const at = field.indexOf('=');
    return [field.slice(0, at), field.slice(at + 1)];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
}
