import type { ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { Job, type JobMaker } from './job.js';
import { closed } from './job-errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import { toJson } from './json.js';
import { type Argument, door, NativeFlowProducer } from './native.js';
import { nativePayload } from './payload-options.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import { checkTelemetry } from './telemetry/trace.js';
import { TRACED_FLOWS, traceMethods } from './telemetry/traced-methods.js';
import type {
  FlowChildJob,
  FlowJob,
  FlowOptions,
  FlowProducerOptions,
  FlowQueuesOptions,
  GetFlowOptions,
} from './types/flow-types.js';
import type { JobOptions } from './types/job-options.js';
import type { ConnectionState } from './types/redis-config.js';

/** A job of a flow with its children, if it has any. */
export interface JobNode<J = Job> {
  job: J;
  children?: JobNode<J>[];
}

export interface FlowProducerEventMap {
  /** Something failed that no call reports. */
  error: [error: Error];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
}

/** Calls of `src/node/flow_producer.rs`. */
const CALL = { add: 0, onQueue: 1, ping: 2, arrive: 3 } as const;

/** Jobs of one call, at most: the native core refuses more, and a circle of children must end somewhere. */
const MOST_JOBS = 20_000;

/** A job of a tree, on its way into the list that the native side takes. */
interface Flat {
  node: FlowJob | FlowChildJob;
  parent: number | null;
  opts: JobOptions;
  timestamp: number;
}

/**
 * Adds flows: trees of jobs, in any queues, whose parents wait for their children. A flow is there as a whole or not at
 * all.
 *
 * On a Redis Cluster all queues of a flow must share a hash tag (`prefix: '{flows}'`), because a script runs within one
 * hash slot; a flow that is spread over several is refused with `ERR_INVALID_ARGUMENT` before anything is added.
 *
 * @example
 * const flows = new FlowProducer({ redis: { url: 'redis://localhost' } });
 * await flows.add({
 *   name: 'publish', queueName: 'albums', data: { album: 7 },
 *   children: [
 *     { name: 'resize', queueName: 'images', data: { image: 1 }, opts: { failParentOnFailure: true } },
 *     { name: 'resize', queueName: 'images', data: { image: 2 }, opts: { failParentOnFailure: true } },
 *   ],
 * });
 */
export class FlowProducer<J extends Job<any, any, any, any> = Job> extends ServiceEmitter<FlowProducerEventMap> {
  readonly opts: Readonly<FlowProducerOptions>;
  /** First part of every key of queues that name no other. */
  readonly prefix: string;
  readonly #native: NativeFlowProducer;
  readonly #defaults: ReadonlyMap<string, JobOptions>;
  readonly #connection: ServiceConnection;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(opts: FlowProducerOptions = {}) {
    super();
    const tracer = checkTelemetry(opts.telemetry);
    const { connection, asBullmq, engine } = splitConnection('flow producer', opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    const { telemetry, payload, queuesOptions = {}, ...stored } = engine;
    this.opts = opts;
    this.prefix = opts.prefix ?? 'bull';
    this.#defaults = onConnection(connection, () => defaultsOf(queuesOptions, ['defaultJobOptions', 'payload']));
    const payloads = Object.entries(queuesOptions).map(([queue, own]) => [queue, own.payload] as const);
    this.#native = onConnection(
      connection,
      () =>
        new NativeFlowProducer(
          door.native,
          connection.json,
          asBullmq,
          JSON.stringify({ ...stored, payload: nativePayload(payload) }),
          JSON.stringify(Object.fromEntries(payloads.map(([queue, own]) => [queue, nativePayload(own)]))),
        ),
    );
    connection.listen(this.#native.id);
    if (tracer) traceMethods(this, tracer, '', TRACED_FLOWS);
  }

  /**
   * Adds a flow. Its jobs get UUIDs where they bring no `jobId`. A job that exists already becomes the child it is named
   * as: when it has completed, it counts at once.
   *
   * @throws `ERR_INVALID_OPTION` and `ERR_INVALID_ARGUMENT` with the job's place in the tree, `ERR_NOT_SERIALIZABLE`,
   * `ERR_JOB_TOO_LARGE`, `ERR_PARENT_JOB_NOT_FOUND`, `ERR_JOB_HAS_PARENT`, and what the connection gives.
   */
  async add(flow: FlowJob, options: FlowOptions = {}): Promise<JobNode<J>> {
    const [node] = await this.#add([flow], options.queuesOptions);
    return node!;
  }

  /** Adds flows, all of them or none. @throws What `add` throws. */
  addBulk(flows: FlowJob[]): Promise<JobNode<J>[]> {
    if (!Array.isArray(flows)) return Promise.reject(invalidArgument('flows', typeof flows, 'an array'));
    return this.#add(flows, undefined);
  }

  /**
   * A flow from its top, as it is now. Jobs that were removed are left out.
   *
   * @returns undefined when the job at the top does not exist.
   */
  async getFlow(options: GetFlowOptions): Promise<JobNode<J> | undefined> {
    const { queueName, id, prefix, depth = 10, maxChildren = 20 } = options;
    for (const [name, value] of Object.entries({ depth, maxChildren })) {
      if (!Number.isInteger(value) || value < 1) throw invalidOption(name, String(value), 'an integer from 1');
    }
    return this.#read(this.#host(queueName, prefix), id, depth, maxChildren);
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await this.#call(CALL.ping, [])) as string;
  }

  /** Resolves when the server answers. */
  async waitUntilReady(): Promise<this> {
    await this.ping();
    return this;
  }

  /** Ends this object; jobs go on, those it gave can be asked no more. Calls made before are answered. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The class of the jobs that this object gives. */
  protected get Job(): JobMaker<J> {
    return Job as unknown as JobMaker<J>;
  }

  protected describe(): string {
    return 'flow producer';
  }

  async #add(flows: FlowJob[], queuesOptions: FlowQueuesOptions | undefined): Promise<JobNode<J>[]> {
    const flat = flatten(flows, [this.#defaults, defaultsOf(queuesOptions)], this.#connection.now());
    const ids = (await this.#call(CALL.add, [textOf(flat)])) as string[];
    const roots: JobNode<J>[] = [];
    const nodes: JobNode<J>[] = [];
    for (const [index, { node, parent, opts, timestamp }] of flat.entries()) {
      const host = this.#host(node.queueName, node.prefix);
      const job = this.Job.added(host, ids[index]!, node.name, node.data, opts, timestamp);
      const above = parent === null ? undefined : nodes[parent];
      nodes.push({ job });
      if (above) {
        const { id, queueQualifiedName } = above.job;
        job.parentKey = `${queueQualifiedName}:${id}`;
        job.parent = { id, queueKey: queueQualifiedName };
        above.children ??= [];
        above.children.push(nodes[index]!);
      } else {
        roots.push(nodes[index]!);
      }
    }
    return roots;
  }

  async #read(host: JobHost, id: string, depth: number, maxChildren: number): Promise<JobNode<J> | undefined> {
    const row = (await host.call(QUEUE_CALL.getJob, [String(id)])) as JobRow | null;
    if (!row) return undefined;
    const job = this.Job.fromRow(host, row);
    if (depth === 1) return { job };
    const page = { count: maxChildren };
    const found = await job.getDependencies({ processed: page, unprocessed: page, ignored: page, failed: page });
    const { processed = {}, unprocessed = [], ignored = {}, failed = [] } = found;
    const keys = [Object.keys(processed), unprocessed, failed, Object.keys(ignored)];
    // A child may be among the ignored ones and, tried again, among others.
    const children = await Promise.all(
      [...new Set(keys.flatMap((some) => some.slice(0, maxChildren)))].map((key) => {
        const { prefix, queueName, id } = splitKey(key);
        return this.#read(this.#host(queueName, prefix), id, depth - 1, maxChildren);
      }),
    );
    const stored = children.filter((child) => child !== undefined);
    return stored.length === 0 ? { job } : { job, children: stored };
  }

  #host(name: string, prefix: string | undefined): JobHost {
    return {
      name,
      prefix: prefix ?? this.prefix,
      now: this.#connection.now,
      call: (code, args) => this.#call(CALL.onQueue, [prefix, name, code, ...args]),
    };
  }

  async #close(): Promise<void> {
    await door.call(this.#native.id, CALL.arrive, []);
    this.#native.close();
    this.#connection.close();
  }

  #call(code: number, args: readonly Argument[]): Promise<unknown> {
    if (this.#closing) return Promise.reject(closed(this.describe()));
    return door.call(this.#native.id, code, args);
  }
}

/** Default options by queue. */
function defaultsOf(
  queuesOptions: FlowQueuesOptions = {},
  known: readonly string[] = ['defaultJobOptions'],
): Map<string, JobOptions> {
  const defaults = new Map<string, JobOptions>();
  for (const [queue, options] of Object.entries(queuesOptions)) {
    for (const name of Object.keys(options)) {
      if (!known.includes(name)) {
        throw invalidOption(`queuesOptions.${queue}.${name}`, 'unknown', known.join(', '));
      }
    }
    defaults.set(queue, options.defaultJobOptions ?? {});
  }
  return defaults;
}

/** Every parent before its children. */
function flatten(flows: FlowJob[], defaults: ReadonlyMap<string, JobOptions>[], now: number): Flat[] {
  const flat: Flat[] = [];
  const open: [node: FlowJob | FlowChildJob, parent: number | null][] = flows.map((flow) => [flow, null]);
  // A queue, so that a deep tree needs no deep stack.
  for (let at = 0; at < open.length && at <= MOST_JOBS; at++) {
    const [node, parent] = open[at]!;
    check(node);
    const ofQueue = defaults.map((some) => some.get(node.queueName));
    const opts: JobOptions = Object.assign({}, ...ofQueue, node.opts);
    flat.push({ node, parent, opts, timestamp: opts.timestamp ?? now });
    for (const child of node.children ?? []) open.push([child, at]);
  }
  return flat;
}

function check(node: FlowJob | FlowChildJob): void {
  if (node === null || typeof node !== 'object') throw invalidArgument('flow', String(node), 'an object for each job');
  const { name, queueName, children } = node;
  if (typeof name !== 'string') throw invalidArgument('name', typeof name, 'a string for each job of a flow');
  if (typeof queueName !== 'string') {
    throw invalidArgument('queueName', typeof queueName, 'the name of a queue for each job of a flow');
  }
  if (children !== undefined && !Array.isArray(children)) {
    throw invalidArgument('children', typeof children, 'an array of jobs');
  }
}

/** What `FlowNode::list_from_json` reads. Data is written once, as the text that is stored. */
function textOf(flat: Flat[]): string {
  const rows = flat.map(({ node: { name, queueName, prefix, data }, parent, opts, timestamp }) => {
    const head = [parent, prefix ?? null, queueName, name, timestamp].map((value) => JSON.stringify(value));
    const options = toJson(opts, `options of job ${name}`, 'null');
    return `[${head.join()},${options},${toJson(data, `data of job ${name}`, '{}')}]`;
  });
  return `[${rows.join()}]`;
}

/** The last two parts of a job's key are the queue's name and the id, as in BullMQ. */
function splitKey(key: string): { prefix: string; queueName: string; id: string } {
  const id = key.lastIndexOf(':');
  const queue = key.lastIndexOf(':', id - 1);
  return { prefix: key.slice(0, queue), queueName: key.slice(queue + 1, id), id: key.slice(id + 1) };
}
