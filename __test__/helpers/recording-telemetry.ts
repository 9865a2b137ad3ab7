import { AsyncLocalStorage } from 'node:async_hooks';
import type { Attributes, Span, SpanKind, Telemetry } from '../../ts/types/telemetry.js';

export interface RecordedSpan {
  id: number;
  trace: number;
  parent: number | undefined;
  name: string;
  kind: SpanKind;
  attributes: Attributes;
  events: { name: string; attributes: Attributes }[];
  exceptions: unknown[];
  isEnded: boolean;
}

interface Context {
  span?: RecordedSpan | { id: number; trace: number };
}

/** Telemetry that keeps what it is told. */
export class RecordingTelemetry implements Telemetry<Context> {
  readonly spans: RecordedSpan[] = [];
  readonly measured: { instrument: string; value: number; attributes: Attributes }[] = [];
  readonly #active = new AsyncLocalStorage<Context>();
  #ids = 0;

  readonly tracer = {
    startSpan: (name: string, options: { kind: SpanKind } = { kind: 0 }, context?: Context): Span<Context> => {
      const parent = (context ?? this.contextManager.active()).span;
      const id = ++this.#ids;
      const span: RecordedSpan = {
        id,
        trace: parent?.trace ?? id,
        parent: parent?.id,
        name,
        kind: options.kind,
        attributes: {},
        events: [],
        exceptions: [],
        isEnded: false,
      };
      this.spans.push(span);
      return {
        setSpanOnContext: (on) => ({ ...on, span }),
        setAttribute: (key, value) => void (span.attributes[key] = value),
        setAttributes: (attributes) => void Object.assign(span.attributes, attributes),
        addEvent: (event, attributes = {}) => void span.events.push({ name: event, attributes }),
        recordException: (exception) => void span.exceptions.push(exception),
        end: () => void (span.isEnded = true),
      };
    },
  };

  readonly contextManager = {
    with: <A extends (...args: any[]) => any>(context: Context, work: A): ReturnType<A> =>
      this.#active.run(context, work) as ReturnType<A>,
    active: (): Context => this.#active.getStore() ?? {},
    root: (): Context => ({}),
    getMetadata: ({ span }: Context): string => JSON.stringify({ id: span?.id, trace: span?.trace }),
    fromMetadata: (_active: Context, metadata: string): Context => ({ span: JSON.parse(metadata) }),
  };

  readonly meter = {
    createCounter: (name: string) => ({ add: (value: number, a: Attributes = {}) => this.#measure(name, value, a) }),
    createHistogram: (name: string) => ({
      record: (value: number, a: Attributes = {}) => this.#measure(name, value, a),
    }),
    createGauge: (name: string) => ({ record: (value: number, a: Attributes = {}) => this.#measure(name, value, a) }),
  };

  /** Spans whose name begins so. */
  named(start: string): RecordedSpan[] {
    return this.spans.filter(({ name }) => name.startsWith(start));
  }

  #measure(instrument: string, value: number, attributes: Attributes): void {
    this.measured.push({ instrument, value, attributes });
  }
}
