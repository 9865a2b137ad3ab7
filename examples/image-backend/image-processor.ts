import type { Job, PubSubService } from 'oxcart';
import sharp from 'sharp';
import {
  type AvatarReady,
  Channel,
  type ImageOperation,
  type ImageProcessingJobData,
  type ImageProcessingResult,
} from './jobs.js';
import type { Storage } from './storage.js';

/** Takes an upload through its operations, one after the other, and stores what comes out. */
export class ImageProcessingProcessor {
  constructor(
    private readonly storage: Storage,
    private readonly pubsub: PubSubService,
  ) {}

  async process(job: Job<ImageProcessingJobData, ImageProcessingResult>): Promise<ImageProcessingResult> {
    const { fileId, operations, outputBucket, outputKey } = job.data;

    const original = await this.storage.downloadFile('uploads', fileId);
    if (!original) throw new Error(`upload ${fileId} is gone`);
    await job.progress(10);

    let image: Buffer = original;
    for (const [index, operation] of operations.entries()) {
      image = await apply(image, operation);
      await job.log(`${operation.type}: ${image.length} bytes`);
      await job.progress(Math.round(10 + ((index + 1) / operations.length) * 80));
    }

    const { format, width, height } = await sharp(image).metadata();
    await this.storage.uploadFile({ bucket: outputBucket, key: outputKey, body: image });
    await job.progress(100);

    const message: AvatarReady = { avatarId: fileId, key: outputKey, bytes: image.length };
    await this.pubsub.publish({
      channel: Channel.AVATAR_READY,
      message,
      metadata: { correlationId: String(job.id), timestamp: new Date() },
    });
    return { outputKey, format, width, height, bytesBefore: original.length, bytesAfter: image.length };
  }
}

async function apply(image: Buffer, { type, params }: ImageOperation): Promise<Buffer> {
  switch (type) {
    case 'resize':
      return sharp(image).resize({ width: params['width'], height: params['height'], fit: 'inside' }).toBuffer();
    case 'thumbnail':
      return sharp(image).resize(params['size'], params['size'], { fit: 'cover', position: 'attention' }).toBuffer();
    case 'convert':
      return sharp(image).toFormat(params['format']).toBuffer();
    case 'compress': {
      const { format } = await sharp(image).metadata();
      return sharp(image).toFormat(format, { quality: params['quality'] }).toBuffer();
    }
  }
}
