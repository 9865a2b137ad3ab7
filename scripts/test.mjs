// Everything CI runs, in one command. Later stages run although an earlier one failed, so that one run tells all; the
// last line is `N passed, N failed`: the tests of both suites, and one for each stage that is not a suite.
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, SetupError, setup } from './setup.mjs';

const STAGE_LIMIT_MS = 15 * 60_000;
// Everything the stages start inherits this, which is how what they leave behind is found.
process.env.OXCART_TEST_RUN = randomUUID();

const scratch = mkdtempSync(join(tmpdir(), 'oxcart-test-'));
const vitestReport = join(scratch, 'vitest.json');
const memoryReport = join(scratch, 'vitest-memory.json');
const fileReport = join(scratch, 'vitest-file.json');

const stages = [
  { name: 'setup has nothing left to do', check: setupIsDone },
  { name: 'rustfmt', command: ['cargo', 'fmt', '--check'] },
  {
    name: 'clippy, engine without Node',
    command: [
      'cargo',
      'clippy',
      '-q',
      '--no-default-features',
      '--features',
      'testing',
      '--tests',
      '--',
      '-D',
      'warnings',
    ],
  },
  { name: 'clippy, with Node', command: ['cargo', 'clippy', '-q', '--', '-D', 'warnings'] },
  { name: 'Biome', command: ['npx', '--no-install', 'biome', 'check', '.'] },
  { name: 'TypeScript', command: ['npx', '--no-install', 'tsc', '-p', 'tsconfig.check.json'] },
  { name: 'generated files are committed', check: generatedFilesAreCommitted },
  {
    name: 'Rust tests',
    command: ['cargo', 'test', '--no-default-features', '--features', 'testing', '--no-fail-fast'],
    count: countRustTests,
  },
  {
    name: 'Rust tests of the services without a server',
    command: [
      'cargo',
      'test',
      '--no-default-features',
      '--features',
      'testing',
      '--no-fail-fast',
      ...[
        'cache',
        'cache_bus',
        'cache_coherence',
        'cache_database',
        'cache_leases',
        'queue',
        'dead_letters',
        'monitoring',
        'pubsub_durable',
        'queue_cancel',
        'queue_events',
        'queue_flows',
        'queue_groups',
        'queue_overload',
        'queue_payload',
        'queue_worker',
        'scheduler',
        'scheduler_policies',
        'scripts',
      ].flatMap((name) => ['--test', name]),
    ],
    env: { OXCART_TEST_ENGINE: 'memory' },
    count: countRustTests,
  },
  {
    name: 'Rust tests of the Node-API layer',
    command: ['cargo', 'test', '--lib', '--no-fail-fast', 'node::'],
    count: countRustTests,
  },
  {
    name: 'JavaScript and type tests',
    command: [
      'npx',
      '--no-install',
      'vitest',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${vitestReport}`,
    ],
    count: () => countVitestTests(vitestReport),
  },
  {
    name: 'JavaScript tests of the services without a server',
    command: [
      'npx',
      '--no-install',
      'vitest',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${memoryReport}`,
      ...[
        ...[
          'batch',
          'cache-database',
          'cache-decorators',
          'cache-documents',
          'cache-domains',
          'cache-flights',
          'cache-format',
          'cache-priorities',
          'cache-resilience',
          'cache-service',
          'cache-threads',
          'cache-write-behind',
          'lock-service',
          'rate-limiter',
          'redis-monitoring',
          'dead-letters',
          'documents-queue',
          'flow-producer',
          'job-by-hand',
          'pubsub',
          'pubsub-durable',
          'pubsub-flow',
          'queue-events',
          'queue-groups',
          'queue-overload',
          'queue-payload',
          'queue-inspection',
          'queue-service',
          'queue',
        ],
        ...[
          'redis',
          'redis-documents',
          'redis-service',
          'scheduler-service',
          'service-exit',
          'sandbox',
          'service-threads',
          'telemetry',
          'worker',
          'worker-cancel',
          'worker-options',
        ],
      ].map((name) => `__test__/${name}.test.ts`),
    ],
    env: { OXCART_TEST_ENGINE: 'memory' },
    count: () => countVitestTests(memoryReport),
  },
  {
    name: 'JavaScript tests of the services on a file',
    command: [
      'npx',
      '--no-install',
      'vitest',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${fileReport}`,
      ...[
        'cache-processes',
        'cache-service',
        'cache-threads',
        'pubsub',
        'pubsub-durable',
        'pubsub-flow',
        'queue-events',
        'queue',
        'redis',
        'redis-service',
        'scheduler-service',
        'service-exit',
        'worker',
      ].map((name) => `__test__/${name}.test.ts`),
    ],
    env: { OXCART_TEST_ENGINE: 'file' },
    count: () => countVitestTests(fileReport),
  },
  { name: 'nothing is left running', check: nothingIsLeftRunning },
];

function setupIsDone() {
  if (setup({ postgres: true })) throw new Error('a second setup found something to do again');
}

function countRustTests(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  return counts;
}

function countVitestTests(path) {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  // A file that could not be loaded has no tests to count.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** The addon's loader and declarations come out of the build; with committed sources they must be committed as built. */
function generatedFilesAreCommitted() {
  const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  const sources = git('status', '--porcelain', '--', 'src', 'package.json');
  if (sources.status !== 0) return 'not a git checkout: nothing to compare with';
  if (sources.stdout !== '') return 'sources are not committed yet: nothing to compare with';
  const changed = git('status', '--porcelain', '--', 'native.js', 'native.d.ts').stdout;
  if (changed !== '') throw new Error(`the build changed these; commit them:\n${changed}`);
}

/** Ends, by its process id, whatever a stage left behind, and counts it as a failure. Linux only: elsewhere no /proc. */
function nothingIsLeftRunning() {
  if (process.platform !== 'linux') return 'looked for on Linux only';
  const left = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`OXCART_TEST_RUN=${process.env.OXCART_TEST_RUN}`))
        continue;
      left.push(`${pid} ${readlinkSync(`/proc/${pid}/exe`)}`);
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Gone in the meantime, or another user's.
    }
  }
  if (left.length > 0) throw new Error(`left running, ended now:\n${left.join('\n')}`);
}

let current;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    if (current) endGroup(current);
    rmSync(scratch, { recursive: true, force: true });
    process.exit(1);
  });
}

/** A stage leads a process group of its own, so that its time limit ends its children too. */
function endGroup(child) {
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

function runCommand([command, ...args], env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, CARGO_TERM_COLOR: process.stdout.isTTY ? 'always' : 'never', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      shell: process.platform === 'win32',
    });
    current = child;
    let output = '';
    let problem;
    const limit = setTimeout(() => {
      problem = `not done after ${STAGE_LIMIT_MS / 60_000} minutes`;
      endGroup(child);
    }, STAGE_LIMIT_MS);
    const pass = (to) => (chunk) => {
      output += chunk;
      to.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', pass(process.stdout));
    child.stderr.setEncoding('utf8').on('data', pass(process.stderr));
    child.once('error', (error) => {
      problem = error.message;
    });
    child.once('close', (code) => {
      clearTimeout(limit);
      current = undefined;
      resolve({ ok: code === 0 && problem === undefined, output, problem });
    });
  });
}

async function runStage(stage) {
  if (stage.check) {
    try {
      return { passed: 1, failed: 0, skipped: 0, note: stage.check() };
    } catch (error) {
      console.log(error.message);
      return { passed: 0, failed: 1, skipped: 0 };
    }
  }
  const { ok, output, problem } = await runCommand(stage.command, stage.env);
  if (!stage.count) return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, note: problem };
  let counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    counts = stage.count(output);
  } catch (error) {
    console.log(`no result: ${error.message}`);
  }
  // A suite that fails without a failing test (it does not compile, it crashed, it found no test) has failed all the same.
  if (counts.failed === 0 && (!ok || counts.passed === 0)) counts.failed = 1;
  return { ...counts, note: problem };
}

const results = [];
try {
  setup({ postgres: true });
} catch (error) {
  console.error(error instanceof SetupError ? `setup: ${error.message}` : error);
  console.log('\n0 passed, 1 failed');
  process.exit(1);
}
for (const stage of stages) {
  console.log(`\n── ${stage.name}`);
  const started = performance.now();
  const counts = await runStage(stage);
  results.push({ name: stage.name, ...counts, seconds: (performance.now() - started) / 1000 });
}
rmSync(scratch, { recursive: true, force: true });

console.log('\n── Summary');
for (const { name, passed, failed, skipped, seconds, note } of results) {
  const numbers = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  console.log(
    `${failed > 0 ? '✗' : '✓'} ${name.padEnd(30)} ${numbers.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${note ?? ''}`.trimEnd(),
  );
}
const sum = (key) => results.reduce((total, result) => total + result[key], 0);
process.exitCode = sum('failed') > 0 ? 1 : 0;
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
