import type { Processor, ProcessorClass, ProcessorFunction, ProcessorObject } from './processor.js';

/** The function behind the three forms of a processor, or undefined for anything else. */
export function processorFunction<Data, Result, Name extends string>(
  processor: Processor<Data, Result, Name>,
): ProcessorFunction<Data, Result, Name> | undefined {
  if (typeof processor === 'function') {
    const { prototype } = processor as ProcessorClass<Data, Result, Name>;
    if (prototype && typeof prototype.process === 'function') {
      return processorFunction(new (processor as ProcessorClass<Data, Result, Name>)());
    }
    return processor as ProcessorFunction<Data, Result, Name>;
  }
  if (processor === null || typeof processor !== 'object') return undefined;
  const { process } = processor as ProcessorObject<Data, Result, Name>;
  if (typeof process !== 'function') return undefined;
  const bound = process.bind(processor) as ProcessorFunction<Data, Result, Name>;
  // `bind` keeps the number of parameters, by which a signal is asked for.
  return bound;
}
