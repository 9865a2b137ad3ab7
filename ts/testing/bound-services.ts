import { FlowProducer } from '../flow-producer.js';
import { Queue } from '../queue.js';
import { QueueEvents } from '../queue-events.js';
import { QueueService } from '../queue-service.js';
import { SchedulerService } from '../scheduler-service.js';
import type { QueueServiceOptions } from '../types/queue-service-options.js';
import type { RedisConfig } from '../types/redis-config.js';
import type { SchedulerServiceOptions } from '../types/scheduler-options.js';
import { Worker } from '../worker.js';

/** Something that the infrastructure closes. */
export interface Closable {
  close(): unknown;
}

/** Constructors whose objects use one connection, whatever their options say of theirs. */
export interface BoundConstructors {
  Queue: typeof Queue;
  Worker: typeof Worker;
  QueueEvents: typeof QueueEvents;
  FlowProducer: typeof FlowProducer;
}

type AnyConstructor = new (...args: any[]) => Closable;

/** A subclass whose options, the argument at `place`, name the connection; `own` gets each object. */
function bind<C extends AnyConstructor>(Base: C, place: number, redis: RedisConfig, own: (made: Closable) => void): C {
  const Bound = class extends (Base as AnyConstructor) {
    constructor(...args: any[]) {
      const { connection: _theirs, ...options } = (args[place] ?? {}) as { connection?: unknown };
      args[place] = { ...options, redis };
      super(...args);
      own(this);
    }
  };
  Object.defineProperty(Bound, 'name', { value: Base.name });
  return Bound as unknown as C;
}

/** A `QueueService` whose workers `own` gets, too. */
export function bindQueueService<Payloads, Results>(
  options: QueueServiceOptions,
  own: (made: Closable) => void,
): QueueService<Payloads, Results> {
  const service = new QueueService<Payloads, Results>(options);
  const register = service.registerProcessor.bind(service) as (...args: unknown[]) => Worker;
  service.registerProcessor = (...args: unknown[]) => {
    const worker = register(...args);
    own(worker);
    return worker;
  };
  return service;
}

/** A `SchedulerService` whose workers `own` gets, too. */
export function bindSchedulerService(
  options: SchedulerServiceOptions,
  own: (made: Closable) => void,
): SchedulerService {
  const service = new SchedulerService(options);
  const process = service.process.bind(service) as (...args: unknown[]) => Worker;
  service.process = (...args: unknown[]) => {
    const worker = process(...args);
    own(worker);
    return worker;
  };
  return service;
}

export function bindConstructors(redis: RedisConfig, own: (made: Closable) => void): BoundConstructors {
  return {
    Queue: bind(Queue, 1, redis, own),
    Worker: bind(Worker, 2, redis, own),
    QueueEvents: bind(QueueEvents, 1, redis, own),
    FlowProducer: bind(FlowProducer, 0, redis, own),
  };
}
