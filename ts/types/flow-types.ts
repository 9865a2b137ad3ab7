import type { JobOptions } from './job-options.js';
import type { PayloadOptions } from './payload-types.js';
import type { QueueConnection, QueueOptions } from './queue-options.js';
import type { Telemetry } from './telemetry.js';

interface FlowNodeBase<Options> {
  name: string;
  queueName: string;
  data?: any;
  /** First part of the keys of its queue. Default: that of the producer. */
  prefix?: string;
  opts?: Options;
}

/** A job of a flow that waits for no other. */
export interface FlowLeafJob extends FlowNodeBase<Omit<JobOptions, 'parent' | 'deduplication'>> {
  children?: never[];
}

/** A job of a flow that waits for its children. */
export interface FlowParentJob extends FlowNodeBase<Omit<JobOptions, 'parent' | 'deduplication'>> {
  children: FlowChildJob[];
}

/** A job below another one of a flow. */
export type FlowChildJob = FlowLeafJob | FlowParentJob;

/** A whole flow: its last job, with those that come before it. Its `parent` is a job that is there already. */
export type FlowJob =
  | (FlowNodeBase<JobOptions> & { children?: never[] })
  | (FlowNodeBase<Omit<JobOptions, 'deduplication'>> & { children: FlowChildJob[] });

/** What the jobs of each queue get that say nothing themselves, by the queue's name; goes before what the producer was given. */
export type FlowQueuesOptions = Record<string, Pick<QueueOptions, 'defaultJobOptions'>>;

export interface FlowOptions {
  queuesOptions?: FlowQueuesOptions;
}

/** Options of a flow producer. */
export interface FlowProducerOptions extends QueueConnection {
  /** Traces what is added; see `telemetry` of queues. */
  telemetry?: Telemetry;
  /** How data is stored and read, in every queue that `queuesOptions` says nothing else of. As the queues and workers have it. */
  payload?: PayloadOptions;
  /** By the queue's name: defaults of its jobs, and its own `payload`, in place of the producer's. */
  queuesOptions?: Record<string, Pick<QueueOptions, 'defaultJobOptions' | 'payload'>>;
}

/** Which flow to read. */
export interface GetFlowOptions {
  queueName: string;
  /** Id of the job at its top. */
  id: string;
  /** Default: that of the producer. */
  prefix?: string;
  /** Levels, the top one included. Default 10. */
  depth?: number;
  /** Children of each kind (processed, unprocessed, ignored, failed) of a job. Default 20. */
  maxChildren?: number;
}
