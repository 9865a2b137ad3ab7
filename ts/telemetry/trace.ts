import { invalidOption } from '../errors.js';
import { type Span, SpanKind, type Telemetry, type TraceException } from '../types/telemetry.js';
import { TelemetryAttributes } from './attributes.js';

/** A span to be. */
export interface TraceStep {
  kind: SpanKind;
  queue: string;
  operation: string;
  /** Follows the operation in the span's name. */
  destination?: string;
  /** Of the job that is processed: the trace that added it goes on here. */
  metadata?: string;
}

/** What `work` of {@link trace} may say of its span. */
export type TracedSpan = Pick<Span, 'setAttributes' | 'addEvent'>;

/**
 * Runs `work` within a span. `metadata` gives the context of the span as text, for jobs that are added in it; undefined
 * when the telemetry cannot.
 *
 * What the telemetry throws becomes one process warning and harms nothing that it traces.
 *
 * @returns What `work` gives; what it throws is recorded.
 */
export async function trace<Result>(
  telemetry: Telemetry,
  step: TraceStep,
  work: (span: TracedSpan, metadata: () => string | undefined) => Promise<Result> | Result,
): Promise<Result> {
  const { contextManager } = telemetry;
  const { kind, queue, operation, destination, metadata } = step;
  const begun = guard(telemetry, () => {
    const active = contextManager.active();
    const parent = metadata ? contextManager.fromMetadata(active, metadata) : undefined;
    const span = telemetry.tracer.startSpan(destination ? `${operation} ${destination}` : operation, { kind }, parent);
    return { span, context: span.setSpanOnContext(kind === SpanKind.CONSUMER && parent ? parent : active) };
  });
  const tell = (act: (span: Span) => void) => guard(telemetry, () => begun && act(begun.span));
  const span: TracedSpan = {
    setAttributes: (attributes) => void tell((one) => one.setAttributes(attributes)),
    addEvent: (name, attributes) => void tell((one) => one.addEvent(name, attributes)),
  };
  span.setAttributes({ [TelemetryAttributes.QueueName]: queue, [TelemetryAttributes.QueueOperation]: operation });
  let running: Promise<Result> | undefined;
  // Started once, within the context where that is possible.
  const start = () => {
    running ??= (async () =>
      work(span, () => begun && guard(telemetry, () => contextManager.getMetadata(begun.context))))();
  };
  try {
    if (begun) guard(telemetry, () => contextManager.with(begun.context, start));
    start();
    return await (running as unknown as Promise<Result>);
  } catch (error) {
    tell((one) => one.recordException(error as TraceException));
    throw error;
  } finally {
    tell((one) => one.end());
  }
}

const warned = new WeakSet<Telemetry>();

/** What `act` gives, undefined when it throws. */
export function guard<Result>(telemetry: Telemetry, act: () => Result): Result | undefined {
  try {
    return act();
  } catch (error) {
    if (!warned.has(telemetry)) {
      warned.add(telemetry);
      const message = error instanceof Error ? error.message : String(error);
      process.emitWarning(`telemetry: ${message} (further errors of it are not shown)`, { type: 'OxcartWarning' });
    }
    return undefined;
  }
}

/** @throws `ERR_INVALID_OPTION` for what cannot trace. */
export function checkTelemetry(telemetry: unknown): Telemetry | undefined {
  if (telemetry === undefined) return undefined;
  const { tracer, contextManager, meter } = (telemetry ?? {}) as Partial<Telemetry>;
  const has = (thing: unknown, ...methods: string[]) =>
    methods.every((method) => typeof (thing as Record<string, unknown> | undefined)?.[method] === 'function');
  if (!has(tracer, 'startSpan')) throw invalidOption('telemetry.tracer', typeof tracer, 'an object with startSpan');
  if (!has(contextManager, 'with', 'active', 'getMetadata', 'fromMetadata')) {
    const allowed = 'an object with with, active, getMetadata and fromMetadata';
    throw invalidOption('telemetry.contextManager', typeof contextManager, allowed);
  }
  if (meter !== undefined && !has(meter, 'createCounter', 'createHistogram')) {
    throw invalidOption('telemetry.meter', typeof meter, 'an object with createCounter and createHistogram');
  }
  return telemetry as Telemetry;
}
