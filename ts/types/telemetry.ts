/** Whether a span is work of its own, or one end of a job's way. */
export enum SpanKind {
  INTERNAL = 0,
  SERVER = 1,
  CLIENT = 2,
  PRODUCER = 3,
  CONSUMER = 4,
}

export type AttributeValue =
  | string
  | number
  | boolean
  | (string | null | undefined)[]
  | (number | null | undefined)[]
  | (boolean | null | undefined)[];

export interface Attributes {
  [attribute: string]: AttributeValue | undefined;
}

export type TraceException =
  | string
  | { code: string | number; name?: string; message?: string; stack?: string }
  | { code?: string | number; name?: string; message: string; stack?: string }
  | { code?: string | number; name: string; message?: string; stack?: string };

/** One step of a trace. */
export interface Span<Context = any> {
  /** The context in which this span is the active one. */
  setSpanOnContext(context: Context): Context;
  setAttribute(key: string, value: AttributeValue): void;
  setAttributes(attributes: Attributes): void;
  addEvent(name: string, attributes?: Attributes): void;
  recordException(exception: TraceException, time?: [number, number] | number | Date): void;
  end(): void;
}

export interface Tracer<Context = any> {
  startSpan(name: string, options?: { kind: SpanKind }, context?: Context): Span<Context>;
}

/** Carries the active context through asynchronous work, and to other processes as text. */
export interface ContextManager<Context = any> {
  with<A extends (...args: any[]) => any>(context: Context, work: A): ReturnType<A>;
  active(): Context;
  /** A context without a trace. */
  root?(): Context;
  getMetadata(context: Context): string;
  fromMetadata(active: Context, metadata: string): Context;
}

export interface MetricOptions {
  description?: string;
  unit?: string;
}

export interface Counter {
  add(value: number, attributes?: Attributes): void;
}

export interface Histogram {
  record(value: number, attributes?: Attributes): void;
}

export interface Gauge {
  record(value: number, attributes?: Attributes): void;
}

export interface Meter {
  createCounter(name: string, options?: MetricOptions): Counter;
  createHistogram(name: string, options?: MetricOptions): Histogram;
  createGauge(name: string, options?: MetricOptions): Gauge;
}

/** What traces and counts, in BullMQ's form: an instance of `BullMQOtel` of the package `bullmq-otel`, or one's own. */
export interface Telemetry<Context = any> {
  tracer: Tracer<Context>;
  contextManager: ContextManager<Context>;
  meter?: Meter;
}

/** What ties a job to the trace that added it. */
export interface JobTelemetryOptions {
  /** Written by `add` when the queue has telemetry. */
  metadata?: string;
  /** The job belongs to no trace: its processing begins one. */
  omitContext?: boolean;
}
