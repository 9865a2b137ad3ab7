// The tests of docs/learning/testing.md, run as they stand there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, it, vi } from 'vitest';
import * as oxcart from '../../ts/index.js';
import * as testing from '../../ts/testing/index.js';

const guide = readFileSync(join(import.meta.dirname, '../../docs/learning/testing.md'), 'utf8');
const [vitestStyle, jestStyle, ownServices] = [...guide.matchAll(/^```[tj]s\n([\s\S]*?)^```/gm)].map(
  ([, code]) => code!,
);

type Step = () => unknown;

/** What a block of code registers with a test runner. */
function load(code: string): { tests: [name: string, body: Step][]; before: Step[]; after: Step[] } {
  const collected = { tests: [] as [string, Step][], before: [] as Step[], after: [] as Step[] };
  const runner = {
    test: (name: string, body: Step) => collected.tests.push([name, body]),
    beforeEach: (step: Step) => collected.before.push(step),
    afterEach: (step: Step) => collected.after.push(step),
    expect,
  };
  const modules: Record<string, unknown> = { oxcart, 'oxcart/testing': testing, vitest: runner };
  const compiled = ts.transpile(code, { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 });
  new Function('require', 'exports', 'test', 'expect', 'jest', compiled)(
    (name: string) => modules[name],
    {},
    runner.test,
    expect,
    vi,
  );
  return collected;
}

it.each([
  ['Vitest', vitestStyle!, 3],
  ['Jest', jestStyle!, 1],
])('the tests in the style of %s pass', async (_style, code, count) => {
  const { tests, before, after } = load(code);
  expect(tests).toHaveLength(count);
  for (const [, body] of tests) {
    for (const step of before) await step();
    await body();
    for (const step of after) await step();
  }
});

it("the application's own services work as shown", async () => {
  const sent: string[] = [];
  const compiled = ts.transpile(ownServices!.replace(/^import.*\n/m, ''), { target: ts.ScriptTarget.ES2022 });
  const AsyncFunction = (async () => undefined).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => unknown;
  const send = async (to: string) => sent.push(to);
  await new AsyncFunction('createTestInfra', 'Queue', 'Worker', 'send', compiled)(
    testing.createTestInfra,
    oxcart.Queue,
    oxcart.Worker,
    send,
  );
  expect(sent).toEqual(['ada']);
});
