import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { CacheService, PubSubService, QueueService, SchedulerService } from 'oxcart';
import { Catalogue } from './catalogue.js';
import { HttpError, readUpload, sendJson } from './http.js';
import { ImageProcessingProcessor } from './image-processor.js';
import { Channel, type ImageOperation, type Payloads, QueueName, type Results } from './jobs.js';
import { Storage } from './storage.js';
import { UploadsCleanup } from './uploads-cleanup.js';

export interface BackendOptions {
  redisUrl: string;
  /** Where uploads and finished images are kept. */
  folder: string;
  /** Default 0: any free port. */
  port?: number;
}

const AVATAR: ImageOperation[] = [
  { type: 'resize', params: { width: 1200, height: 1200 } },
  { type: 'thumbnail', params: { size: 256 } },
  { type: 'convert', params: { format: 'webp' } },
  { type: 'compress', params: { quality: 80 } },
];

/** Starts the backend; `close` finishes the running jobs first. */
export async function startBackend({ redisUrl, folder, port = 0 }: BackendOptions) {
  const redis = { url: redisUrl };
  const storage = new Storage(folder);
  const cache = new CacheService({ redis, prefix: 'shop:' });
  const pubsub = new PubSubService({ redis, channelPrefix: 'shop' });
  const queue = new QueueService<Payloads, Results>({ redis });
  const scheduler = new SchedulerService({ redis });
  const catalogue = new Catalogue(cache, storage);
  const cleanup = new UploadsCleanup(storage);
  const listeners = new Set<ServerResponse>();

  await queue.initialize();
  queue.registerProcessor(QueueName.IMAGE_PROCESSING, new ImageProcessingProcessor(storage, pubsub), {
    concurrency: 4,
  });
  await scheduler.initialize();
  scheduler.process('uploads-cleanup', cleanup);
  await scheduler.upsertScheduledJob('uploads-cleanup', '*/2 * * * * *', { maxAgeMs: 60_000 });
  await pubsub.subscribe({
    channel: Channel.AVATAR_READY,
    handler: async (message) => {
      await catalogue.changed();
      for (const listener of listeners) listener.write(`event: avatar:ready\ndata: ${JSON.stringify(message)}\n\n`);
    },
  });

  async function upload(request: IncomingMessage) {
    const { name, body } = await readUpload(request);
    const fileId = randomUUID();
    await storage.uploadFile({ bucket: 'uploads', key: fileId, body });
    const job = await queue.addJob({
      queue: QueueName.IMAGE_PROCESSING,
      name: 'avatar',
      data: { fileId, operations: AVATAR, outputBucket: 'avatars', outputKey: `${fileId}.webp` },
      options: { attempts: 2, backoff: { type: 'fixed', delay: 200 } },
    });
    return { jobId: job.id, avatarId: fileId, name };
  }

  async function jobState(id: string) {
    // In this order: a job that ends in between is told as active with its result, not as completed without one.
    const state = await queue.getQueue(QueueName.IMAGE_PROCESSING).getJobState(id);
    const job = await queue.getJob(QueueName.IMAGE_PROCESSING, id);
    if (!job) throw new HttpError(404, `no job ${id}`);
    return {
      id: job.id,
      state,
      progress: job.progress(),
      attempts: job.attemptsMade,
      result: job.returnvalue ?? null,
      error: job.failedReason ?? null,
    };
  }

  async function catalogueItem(key: string) {
    const item = await catalogue.item(key);
    if (!item) throw new HttpError(404, `no image ${key}`);
    return item;
  }

  async function stats() {
    return {
      queue: await queue.getQueueMetrics(QueueName.IMAGE_PROCESSING),
      cache: await cache.getStats(),
      catalogue: { computed: catalogue.computed },
      cron: { runs: cleanup.runs, removed: cleanup.removed },
    };
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [resource, id] = (request.url ?? '/').slice(1).split('/').map(decodeURIComponent);
    switch (`${request.method} ${resource}${id ? '/:id' : ''}`) {
      case 'POST avatars':
        return sendJson(response, 202, await upload(request));
      case 'GET jobs/:id':
        return sendJson(response, 200, await jobState(id as string));
      case 'GET catalogue':
        return sendJson(response, 200, await catalogue.list());
      case 'GET catalogue/:id':
        return sendJson(response, 200, await catalogueItem(id as string));
      case 'GET images/:id': {
        const image = await storage.downloadFile('avatars', id as string);
        if (!image) throw new HttpError(404, `no image ${id}`);
        response.writeHead(200, { 'content-type': 'image/webp', 'content-length': image.length }).end(image);
        return;
      }
      case 'GET events':
        // Server-sent events: one line for each message on the channel.
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        listeners.add(response);
        response.once('close', () => listeners.delete(response));
        return;
      case 'GET stats':
        return sendJson(response, 200, await stats());
      default:
        throw new HttpError(404, 'no such route');
    }
  }

  const http = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      const status = error instanceof HttpError ? error.status : error instanceof RangeError ? 400 : 500;
      if (status === 500) console.error(error);
      if (response.headersSent) response.destroy();
      else sendJson(response, status, { error: error instanceof Error ? error.message : String(error) });
    });
  });
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${(http.address() as { port: number }).port}`,
    async close(): Promise<void> {
      for (const listener of listeners) listener.end();
      await new Promise((resolve) => http.close(resolve));
      await scheduler.destroy();
      await queue.destroy();
      await pubsub.close();
      await cache.close();
    },
  };
}
