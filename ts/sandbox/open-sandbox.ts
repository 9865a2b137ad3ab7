import { invalidArgument, invalidOption } from '../errors.js';
import type { Processor, ProcessorFile, ProcessorFunction } from '../processor.js';
import { processorFunction } from '../processor-function.js';
import type { SandboxOptions } from '../types/queue-options.js';
import { processLaunch, threadLaunch } from './channel.js';
import { inheritedArguments, languageArguments, processorUrl } from './processor-file.js';
import { SandboxPool } from './sandbox-pool.js';

const OPTION_NAMES = ['useWorkerThreads', 'workerForkOptions', 'workerThreadsOptions'] as const;

/**
 * The function that runs jobs, in this process or in the sandboxes that it then has.
 *
 * @param size How many sandboxes may stay.
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_OPTION`.
 */
export function openProcessor<Data, Result, Name extends string>(
  processor: Processor<Data, Result, Name> | ProcessorFile,
  options: SandboxOptions,
  size: () => number,
): { run: ProcessorFunction<Data, Result, Name>; sandbox?: SandboxPool } {
  if (typeof processor === 'string' || processor instanceof URL) {
    const sandbox = openSandbox(processor, options, size);
    return { run: sandbox.process, sandbox };
  }
  refuseSandboxOptions(options);
  const run = processorFunction(processor);
  if (run) return { run };
  const allowed = 'a function, an object or class with process(job), or the path or URL of a file';
  throw invalidArgument('processor', typeof processor, allowed);
}

/** Sandboxes for a processor's file; none is started yet. */
function openSandbox(processor: string | URL, options: SandboxOptions, size: () => number): SandboxPool {
  checkSandboxOptions(options);
  const file = processorUrl(processor);
  const { useWorkerThreads = false, workerForkOptions = {}, workerThreadsOptions = {} } = options;
  if (useWorkerThreads) {
    const { execArgv } = workerThreadsOptions;
    const extra = languageArguments(file, execArgv ?? process.execArgv, process.env['NODE_OPTIONS']);
    const launch = threadLaunch(workerThreadsOptions, extra.length > 0 ? [...(execArgv ?? []), ...extra] : execArgv);
    return new SandboxPool(launch, file.href, size);
  }
  const execArgv = workerForkOptions.execArgv ?? inheritedArguments();
  const environment = workerForkOptions.env ?? process.env;
  const extra = languageArguments(file, execArgv, environment['NODE_OPTIONS']);
  return new SandboxPool(processLaunch(workerForkOptions, [...execArgv, ...extra]), file.href, size);
}

/** @throws `ERR_INVALID_OPTION` for options that only the processor in a file has. */
export function refuseSandboxOptions(options: SandboxOptions): void {
  for (const name of OPTION_NAMES) {
    if (options[name] === undefined || options[name] === false) continue;
    throw invalidOption(name, 'given for a processor that is no file', 'nothing, or the path of a file as processor');
  }
}

function checkSandboxOptions(options: SandboxOptions): void {
  const { useWorkerThreads, workerForkOptions, workerThreadsOptions } = options;
  if (useWorkerThreads !== undefined && typeof useWorkerThreads !== 'boolean') {
    throw invalidOption('useWorkerThreads', typeof useWorkerThreads, 'true or false');
  }
  for (const [name, value] of Object.entries({ workerForkOptions, workerThreadsOptions })) {
    if (value !== undefined && (value === null || typeof value !== 'object')) {
      throw invalidOption(name, String(value), 'an object');
    }
  }
  if (useWorkerThreads && workerForkOptions) {
    throw invalidOption('workerForkOptions', 'given beside `useWorkerThreads`', '`workerThreadsOptions`');
  }
  if (!useWorkerThreads && workerThreadsOptions) {
    throw invalidOption('workerThreadsOptions', 'given without `useWorkerThreads`', '`workerForkOptions`');
  }
}
