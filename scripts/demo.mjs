// Runs examples/image-backend, drives it over HTTP with real image files, and says what happened. The backend runs on the
// engine in its own process; with `npm run demo -- --redis`, on a private redis-server. Ends everything it started; exit
// code 0 only if all of it went as it should.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, SetupError, setup } from './setup.mjs';

const LIMIT_MS = 110_000;
const onRedis = process.argv.includes('--redis');
let started = performance.now();
const children = new Set();
const folder = mkdtempSync(join(tmpdir(), 'oxcart-demo-'));

function say(text) {
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${text}`);
}

function check(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

/** Starts a program that ends with this script at the latest, and keeps what it last said for a failure's message. */
function start(name, command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      child.said = (child.said + text).slice(-10_000);
    });
  }
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => {
      child.said += error.message;
      resolve(null);
    });
    child.once('exit', (code) => {
      children.delete(child);
      resolve(code);
    });
  });
  child.label = name;
  return child;
}

/** Waits for a line of a program's output, or for its early end. */
async function waitForOutput(child, pattern, timeoutMs = 15_000) {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end) {
    const match = pattern.exec(child.said);
    if (match) return match;
    check(child.exitCode === null && child.pid !== undefined, `${child.label} ended early:\n${child.said}`);
    await sleep(20);
  }
  throw new Error(`${child.label} was not ready after ${timeoutMs} ms:\n${child.said}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startRedis() {
  const port = await freePort();
  const binary = process.env.OXCART_TEST_REDIS_SERVER || 'redis-server';
  const server = start('redis-server', binary, [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
  ]);
  await waitForOutput(server, /Ready to accept connections/i);
  return { server, url: `redis://127.0.0.1:${port}` };
}

async function startExample(redisUrl) {
  const example = join(root, 'examples', 'image-backend');
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [tsc, '-p', example], { encoding: 'utf8', timeout: 60_000 });
  check(compiled.status === 0, `the example does not compile:\n${compiled.stdout}`);
  const env = { ...process.env, REDIS_URL: redisUrl, STORAGE_FOLDER: join(folder, 'storage'), PORT: '0' };
  const backend = start('the backend', process.execPath, [join(example, 'out', 'main.js')], { env });
  const [, url] = await waitForOutput(backend, /listening on (\S+)/);
  return { backend, url };
}

/** Pictures of the kinds that people upload, and one file that only says it is a picture. */
async function makePictures() {
  const { default: sharp } = await import('sharp');
  const picture = (width, height, colour) =>
    sharp({ create: { width, height, channels: 3, background: colour } }).composite([
      {
        input: Buffer.from(
          `<svg width="${width}" height="${height}"><defs><radialGradient id="g"><stop offset="0" stop-color="white"/>` +
            `<stop offset="1" stop-color="black" stop-opacity="0.4"/></radialGradient></defs>` +
            `<rect width="100%" height="100%" fill="url(#g)"/><circle cx="40%" cy="45%" r="22%" fill="orange"/></svg>`,
        ),
      },
    ]);
  return Promise.all([
    picture(3000, 2000, 'steelblue')
      .jpeg({ quality: 92 })
      .toBuffer()
      .then((body) => ({ name: 'beach.jpg', body })),
    picture(2400, 3200, 'seagreen')
      .jpeg()
      .toBuffer()
      .then((body) => ({ name: 'forest.jpg', body })),
    picture(1920, 1080, 'crimson')
      .png()
      .toBuffer()
      .then((body) => ({ name: 'screen.png', body })),
    picture(800, 800, 'goldenrod')
      .png()
      .toBuffer()
      .then((body) => ({ name: 'logo.png', body })),
    picture(4000, 3000, 'slateblue')
      .webp()
      .toBuffer()
      .then((body) => ({ name: 'camera.webp', body })),
    picture(640, 480, 'teal')
      .gif()
      .toBuffer()
      .then((body) => ({ name: 'old.gif', body })),
    picture(1600, 1200, 'indigo')
      .tiff()
      .toBuffer()
      .then((body) => ({ name: 'scan.tiff', body })),
    picture(2048, 2048, 'salmon')
      .avif({ effort: 0 })
      .toBuffer()
      .then((body) => ({ name: 'phone.avif', body })),
    { name: 'broken.jpg', body: Buffer.from('this is no picture'), broken: true },
  ]);
}

/** A client of the backend's HTTP interface. */
class Client {
  constructor(url, signal) {
    this.url = url;
    this.signal = signal;
  }

  async get(path) {
    const response = await fetch(this.url + path, { signal: this.signal });
    check(response.ok, `GET ${path} gave ${response.status}: ${response.ok ? '' : await response.text()}`);
    return response;
  }

  async json(path) {
    return (await this.get(path)).json();
  }

  async upload({ name, body }) {
    const form = new FormData();
    form.set('image', new File([body], name));
    const response = await fetch(`${this.url}/avatars`, { method: 'POST', body: form, signal: this.signal });
    const text = await response.text();
    check(response.status === 202, `uploading ${name} gave ${response.status}: ${text}`);
    return JSON.parse(text);
  }

  /** Collects `avatar:ready` from the server-sent events. */
  async listen(onReady) {
    const response = await this.get('/events');
    (async () => {
      let text = '';
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const events = text.split('\n\n');
        text = events.pop();
        for (const event of events) onReady(JSON.parse(event.split('data: ')[1]));
      }
    })().catch((error) => {
      // The backend going away at the end is no news.
      if (!stopping) console.error(error);
    });
  }
}

let stopping = false;

/** Looks at a job until it is finished, and tells of each new step. */
async function follow(client, { jobId, name }) {
  let told = -1;
  for (;;) {
    const job = await client.json(`/jobs/${jobId}`);
    if (job.state === 'active' && job.progress > told) {
      told = job.progress;
      say(`  ${name.padEnd(12)} ${'█'.repeat(Math.round(told / 10)).padEnd(10, '░')} ${String(told).padStart(3)} %`);
    }
    if (job.state === 'completed' || job.state === 'failed') return job;
    await sleep(25);
  }
}

async function processPictures(client, pictures) {
  const ready = new Map();
  await client.listen((message) => ready.set(message.avatarId, message));
  say(`uploading ${pictures.length} files`);
  const begin = performance.now();
  const uploads = await Promise.all(
    pictures.map(async (picture) => {
      const { jobId, avatarId } = await client.upload({ ...picture });
      return { ...picture, jobId, avatarId };
    }),
  );
  const jobs = await Promise.all(
    uploads.map(async (upload) => {
      const job = await follow(client, upload);
      const { result, error, attempts } = job;
      say(
        job.state === 'completed'
          ? `  ${upload.name.padEnd(12)} done: ${kilobytes(result.bytesBefore)} -> ${kilobytes(result.bytesAfter)}`
          : `  ${upload.name.padEnd(12)} failed after ${attempts} attempts: ${error}`,
      );
      return { ...upload, ...job };
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  for (const job of jobs) {
    const expected = job.broken ? 'failed' : 'completed';
    check(job.state === expected, `${job.name} is ${job.state} (${job.error}), expected ${expected}`);
  }
  const broken = jobs.find((job) => job.broken);
  check(broken.attempts === 2, `the broken file had ${broken.attempts} attempts, expected 2`);
  const done = jobs.filter((job) => !job.broken);
  await until(() => done.every((job) => ready.has(job.avatarId)), 'avatar:ready for every picture');
  return { done, broken, ready, seconds };
}

async function checkThumbnails(client, done) {
  const { default: sharp } = await import('sharp');
  const digests = new Set();
  for (const { name, result } of done) {
    const image = Buffer.from(await (await client.get(`/images/${result.outputKey}`)).arrayBuffer());
    const { format, width, height } = await sharp(image).metadata();
    check(format === 'webp' && width === 256 && height === 256, `${name} became ${format} ${width}x${height}`);
    digests.add(createHash('sha256').update(image).digest('hex'));
  }
  check(digests.size === done.length, 'two different pictures gave the same thumbnail');
  say(`fetched ${done.length} thumbnails: all WebP, 256 x 256`);
}

async function readCatalogue(client, done) {
  const before = (await client.json('/stats')).catalogue.computed;
  const cold = performance.now();
  const list = await client.json('/catalogue');
  const coldMs = performance.now() - cold;
  check(list.length === done.length, `the catalogue lists ${list.length} pictures, expected ${done.length}`);
  const keys = list.map((item) => item.key);
  const reads = 2000;
  const warm = performance.now();
  let next = 0;
  const reader = async () => {
    while (next < reads) {
      const key = keys[next++ % keys.length];
      check((await client.json(`/catalogue/${key}`)).key === key, `the catalogue gave another picture than ${key}`);
    }
  };
  await Promise.all(Array.from({ length: 32 }, reader));
  const warmMs = performance.now() - warm;
  const computed = (await client.json('/stats')).catalogue.computed - before;
  // One look at the pixels for the list, one for each picture's own page; all other reads come from the cache.
  check(computed === 2 * keys.length, `${reads} reads worked ${computed} answers out, expected ${2 * keys.length}`);
  say(`read the catalogue ${reads} times: ${computed} answers worked out, the rest from the cache`);
  return { coldMs, reads, perSecond: Math.round(reads / (warmMs / 1000)), computed };
}

async function until(condition, what, timeoutMs = 15_000) {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    check(performance.now() < end, `waited ${timeoutMs} ms in vain for: ${what}`);
    await sleep(25);
  }
}

function kilobytes(bytes) {
  return `${(bytes / 1024).toFixed(1)} kB`;
}

async function stop(child, signal, timeoutMs = 10_000) {
  child.kill(signal);
  const code = await Promise.race([child.ended, sleep(timeoutMs, 'late', { ref: false })]);
  check(code !== 'late', `${child.label} was still running ${timeoutMs} ms after ${signal}`);
  return code;
}

async function demo() {
  const { server, url: redisUrl } = onRedis ? await startRedis() : { url: 'memory://demo' };
  say(server ? `private redis-server at ${redisUrl}` : 'no server: everything runs in the process of the backend');
  const { backend, url } = await startExample(redisUrl);
  say(`backend at ${url}`);
  const client = new Client(url, AbortSignal.timeout(LIMIT_MS));
  const pictures = await makePictures();
  const { done, broken, ready, seconds } = await processPictures(client, pictures);
  await checkThumbnails(client, done);
  const catalogue = await readCatalogue(client, done);
  await until(async () => (await client.json('/stats')).cron.runs >= 2, 'the cron job to run twice');
  const { queue, cache, cron } = await client.json('/stats');
  say(`the cron job ran ${cron.runs} times`);

  stopping = true;
  const code = await stop(backend, 'SIGTERM');
  check(code === 0, `the backend ended with ${code}:\n${backend.said}`);
  if (server) await stop(server, 'SIGTERM');
  say('everything has ended');

  const bytes = (key) => kilobytes(done.reduce((sum, { result }) => sum + result[key], 0));
  const rows = [
    ['pictures uploaded', `${pictures.length}, ${bytes('bytesBefore')}`],
    ['thumbnails made', `${done.length}, ${bytes('bytesAfter')}, in ${seconds.toFixed(2)} s`],
    ['jobs completed / failed', `${queue.completed} / ${queue.failed} (${broken.name}: ${broken.attempts} attempts)`],
    ['avatar:ready received', `${ready.size}`],
    ['catalogue, first read', `${catalogue.coldMs.toFixed(1)} ms`],
    ['catalogue, over HTTP', `${catalogue.reads} reads, ${catalogue.perSecond} per second`],
    ['cache hits / misses', `${cache.hits} / ${cache.misses}`],
    ['cron runs', `${cron.runs}`],
    ['whole demo', `${((performance.now() - started) / 1000).toFixed(1)} s`],
  ];
  console.log();
  for (const [what, value] of rows) console.log(`  ${what.padEnd(26)} ${value}`);
  console.log();
}

function endEverything() {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    endEverything();
    process.exit(1);
  });
}

try {
  setup({ redis: onRedis });
  started = performance.now();
  const late = sleep(LIMIT_MS, undefined, { ref: false }).then(() => {
    throw new Error(`not done after ${LIMIT_MS / 1000} s`);
  });
  await Promise.race([demo(), late]);
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof SetupError ? error.message : error.stack}`);
  for (const child of children) console.error(`\nLast words of ${child.label}:\n${child.said.slice(-3000)}`);
  process.exitCode = 1;
} finally {
  endEverything();
}
// Streams that a failure left open must not keep this process.
process.exit();
