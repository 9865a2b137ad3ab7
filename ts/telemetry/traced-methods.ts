import { type Attributes, SpanKind, type Telemetry } from '../types/telemetry.js';
import { TelemetryAttributes } from './attributes.js';
import { trace } from './trace.js';

/** How the calls of one method are traced. */
interface TracedMethod {
  /** Default: INTERNAL. */
  kind?: SpanKind;
  /** Default: the method's name. */
  operation?: string;
  /** Name of the queue, where each call has its own. */
  queue?(args: any[]): string;
  /** Default: the queue's name. */
  destination?(queue: string, args: any[]): string;
  attributes?(args: any[], result: any): Attributes;
  /** The arguments with the span's context in them. */
  carry?(args: any[], metadata: () => string | undefined): any[];
}

export type TracedMethods = Record<string, TracedMethod>;

/**
 * Puts a span around every call of the methods in `table`, in place of `target`'s own. What a method calls itself before
 * its first wait has none.
 */
export function traceMethods(target: object, telemetry: Telemetry, queue: string, table: TracedMethods): void {
  const methods = target as Record<string, (...args: any[]) => unknown>;
  let isWithin = false;
  for (const [name, traced] of Object.entries(table)) {
    const original = methods[name];
    if (typeof original !== 'function') throw new TypeError(`${name} is no method`);
    const { kind = SpanKind.INTERNAL, operation = name, queue: queueOf, destination, attributes, carry } = traced;
    const wrapped = (...args: any[]): unknown => {
      if (isWithin) return original.apply(target, args);
      const own = queueOf?.(args) ?? queue;
      const step = { kind, queue: own, operation, destination: destination?.(own, args) ?? own };
      return trace(telemetry, step, async (span, metadata) => {
        const carried = carry ? carry(args, metadata) : args;
        isWithin = true;
        let running: unknown;
        try {
          running = original.apply(target, carried);
        } finally {
          isWithin = false;
        }
        const result = await running;
        if (attributes) span.setAttributes(attributes(args, result));
        return result;
      });
    };
    Object.defineProperty(target, name, { value: wrapped, configurable: true, writable: true });
  }
}

/** A job's options with the context of the span that adds it. */
function carried(opts: any, metadata: () => string | undefined, isKept: boolean): any {
  const own = opts?.telemetry;
  if (own?.omitContext || (isKept && own?.metadata)) return opts;
  const text = metadata();
  return text === undefined ? opts : { ...opts, telemetry: { ...own, metadata: text } };
}

function listed(items: any, change: (item: any) => any): any {
  return Array.isArray(items) ? items.map(change) : items;
}

/** What of a queue is traced, under BullMQ's names. */
export const TRACED_QUEUE: TracedMethods = {
  add: {
    kind: SpanKind.PRODUCER,
    destination: (queue, [name]) => `${queue}.${name}`,
    carry: ([name, data, opts], metadata) => [name, data, carried(opts, metadata, false)],
    attributes: ([name], job) => ({ [TelemetryAttributes.JobName]: name, [TelemetryAttributes.JobId]: job.id }),
  },
  addBulk: {
    kind: SpanKind.PRODUCER,
    carry: ([jobs], metadata) => [listed(jobs, (job) => ({ ...job, opts: carried(job.opts, metadata, true) }))],
    attributes: ([jobs]) => ({
      [TelemetryAttributes.BulkNames]: jobs.map((job: any) => job.name),
      [TelemetryAttributes.BulkCount]: jobs.length,
    }),
  },
  upsertJobScheduler: {
    kind: SpanKind.PRODUCER,
    operation: 'add',
    destination: (queue, [id, , template]) => `${queue}.${template?.name ?? id}`,
    carry: ([id, repeat, template], metadata) => [
      id,
      repeat,
      { ...template, opts: carried(template?.opts, metadata, true) },
    ],
    attributes: ([id], job) => ({ [TelemetryAttributes.JobSchedulerId]: id, [TelemetryAttributes.JobId]: job?.id }),
  },
  pause: {},
  resume: {},
  close: {},
  obliterate: {},
  rateLimit: { attributes: ([ms]) => ({ [TelemetryAttributes.QueueRateLimit]: ms }) },
  removeDeduplicationKey: { attributes: ([id]) => ({ [TelemetryAttributes.DeduplicationKey]: id }) },
  remove: {
    attributes: ([id, options]) => ({
      [TelemetryAttributes.JobId]: id,
      [TelemetryAttributes.JobOptions]: JSON.stringify({ removeChildren: true, ...options }),
    }),
  },
  updateJobProgress: {
    attributes: ([id, progress]) => ({
      [TelemetryAttributes.JobId]: id,
      [TelemetryAttributes.JobProgress]: JSON.stringify(progress),
    }),
  },
  drain: { attributes: ([delayed = false]) => ({ [TelemetryAttributes.QueueDrainDelay]: delayed }) },
  clean: {
    attributes: ([grace, limit, type = 'completed'], ids) => ({
      [TelemetryAttributes.QueueGrace]: grace,
      [TelemetryAttributes.JobType]: type,
      [TelemetryAttributes.QueueCleanLimit]: limit,
      [TelemetryAttributes.QueueCleanCount]: ids.length,
    }),
  },
  retryJobs: {
    kind: SpanKind.PRODUCER,
    attributes: ([options = {}]) => ({ [TelemetryAttributes.QueueOptions]: JSON.stringify(options) }),
  },
  promoteJobs: {
    attributes: ([options = {}]) => ({ [TelemetryAttributes.QueueOptions]: JSON.stringify(options) }),
  },
  trimEvents: { attributes: ([maxLength]) => ({ [TelemetryAttributes.QueueEventMaxLength]: maxLength }) },
};

const DEEPEST = 1_000;

/** A flow in whose jobs the context of the span that adds it is. */
function carriedFlow(flow: any, metadata: () => string | undefined, depth = 0): any {
  // What is no tree is left to those who refuse it.
  if (flow === null || typeof flow !== 'object' || depth > DEEPEST) return flow;
  const { opts, children } = flow;
  return {
    ...flow,
    opts: carried(opts, metadata, true),
    ...(Array.isArray(children) ? { children: children.map((child) => carriedFlow(child, metadata, depth + 1)) } : {}),
  };
}

/** What of a flow producer is traced. */
export const TRACED_FLOWS: TracedMethods = {
  add: {
    kind: SpanKind.PRODUCER,
    operation: 'addFlow',
    queue: ([flow]) => String(flow?.queueName),
    carry: ([flow, options], metadata) => [carriedFlow(flow, metadata), options],
    attributes: ([flow]) => ({ [TelemetryAttributes.FlowName]: flow.name }),
  },
  addBulk: {
    kind: SpanKind.PRODUCER,
    operation: 'addBulkFlows',
    carry: ([flows], metadata) => [listed(flows, (flow) => carriedFlow(flow, metadata))],
    attributes: ([flows]) => ({
      [TelemetryAttributes.BulkCount]: flows.length,
      [TelemetryAttributes.BulkNames]: flows.map((flow: any) => flow.name).join(','),
    }),
  },
};

/** What of a worker is traced beside the processing of jobs. */
export function tracedWorker(id: string, name: string | undefined): TracedMethods {
  const worker = { [TelemetryAttributes.WorkerId]: id, [TelemetryAttributes.WorkerName]: name };
  return {
    getNextJob: {
      attributes: ([, { block = true } = {} as { block?: boolean }], job) => ({
        ...worker,
        [TelemetryAttributes.WorkerOptions]: JSON.stringify({ block }),
        [TelemetryAttributes.JobId]: job?.id,
      }),
    },
    pause: {
      attributes: ([now = false]) => ({ ...worker, [TelemetryAttributes.WorkerDoNotWaitActive]: now }),
    },
    resume: { attributes: () => worker },
    close: { attributes: ([force = false]) => ({ ...worker, [TelemetryAttributes.WorkerForceClose]: force }) },
    rateLimit: {
      attributes: ([ms]) => ({
        [TelemetryAttributes.WorkerId]: id,
        [TelemetryAttributes.WorkerRateLimit]: ms,
      }),
    },
  };
}
