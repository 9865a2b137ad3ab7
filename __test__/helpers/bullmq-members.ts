import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** Classes whose public members count. */
const CLASSES = [
  'FlowProducer',
  'Job',
  'JobScheduler',
  'Queue',
  'QueueEvents',
  'QueueEventsProducer',
  'QueueKeys',
  'Worker',
];

/** What the events and options of those classes are declared by, and the name that they have in the table. */
const SHAPES: Record<string, string> = {
  FlowProducerListener: 'FlowProducer event',
  QueueListener: 'Queue event',
  QueueEventsListener: 'QueueEvents event',
  WorkerListener: 'Worker event',
  BackoffOptions: 'BackoffOptions',
  DeduplicationOptions: 'DeduplicationOptions',
  FlowJobBase: 'FlowJob',
  FlowProducerOptions: 'FlowProducerOptions',
  JobsOptions: 'JobsOptions',
  JobSchedulerJson: 'JobSchedulerJson',
  ObliterateOpts: 'ObliterateOpts',
  QueueEventsOptions: 'QueueEventsOptions',
  QueueEventsProducerOptions: 'QueueEventsProducerOptions',
  QueueOptions: 'QueueOptions',
  RepeatOptions: 'RepeatOptions',
  RetryOptions: 'RetryOptions',
  WorkerOptions: 'WorkerOptions',
  IRedisClient: 'IRedisClient',
  IRedisTransaction: 'IRedisTransaction',
};

const isNode = (declaration: ts.Declaration) => declaration.getSourceFile().fileName.includes('@types/node');

/** Every public member, event, option and runtime export of the stock package: `Queue.add`, `Worker event active`, … */
export function bullmqMembers(): string[] {
  const require = createRequire(import.meta.url);
  const entry = join(dirname(require.resolve('bullmq')), '..', 'esm', 'index.d.ts');
  const program = ts.createProgram([entry], { skipLibCheck: true, moduleResolution: ts.ModuleResolutionKind.Node10 });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error('the types of the stock package could not be read');
  const exported = new Map(checker.getExportsOfModule(module).map((symbol) => [symbol.name, symbol]));
  const typeOf = (name: string) => {
    const symbol = exported.get(name);
    if (!symbol) throw new Error(`the stock package exports no ${name}`);
    const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return [real, checker.getDeclaredTypeOfSymbol(real)] as const;
  };
  const names: string[] = [];
  for (const name of CLASSES) {
    const [symbol, type] = typeOf(name);
    const members = [...type.getProperties(), ...checker.getTypeOfSymbol(symbol).getProperties()];
    for (const member of members) {
      const [declaration] = member.declarations ?? [];
      if (!declaration || isNode(declaration) || member.name === 'prototype') continue;
      const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
      if (ts.getCombinedModifierFlags(declaration) & hidden || member.name.startsWith('_')) continue;
      names.push(`${name}.${member.name}`);
    }
  }
  for (const [name, label] of Object.entries(SHAPES)) {
    const separator = label.endsWith(' event') ? ' ' : '.';
    for (const member of typeOf(name)[1].getProperties()) names.push(`${label}${separator}${member.name}`);
  }
  names.push(...Object.keys(require('bullmq')));
  return [...new Set(names)].sort();
}
