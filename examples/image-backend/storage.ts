import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const SAFE_NAME = /^[\w-][\w.-]*$/;

/** Object storage on a folder: `<folder>/<bucket>/<key>`. */
export class Storage {
  constructor(private readonly folder: string) {}

  async uploadFile({ bucket, key, body }: { bucket: string; key: string; body: Buffer }): Promise<void> {
    const path = this.path(bucket, key);
    await mkdir(join(this.folder, bucket), { recursive: true });
    await writeFile(path, body);
  }

  /** Undefined when there is no such file. */
  async downloadFile(bucket: string, key: string): Promise<Buffer | undefined> {
    try {
      return await readFile(this.path(bucket, key));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async removeFile(bucket: string, key: string): Promise<void> {
    await rm(this.path(bucket, key), { force: true });
  }

  async list(bucket: string): Promise<{ key: string; modified: Date }[]> {
    await mkdir(join(this.folder, bucket), { recursive: true });
    const keys = await readdir(join(this.folder, bucket));
    return Promise.all(keys.sort().map(async (key) => ({ key, modified: (await stat(this.path(bucket, key))).mtime })));
  }

  private path(bucket: string, key: string): string {
    // Names come from URLs.
    if (!SAFE_NAME.test(bucket) || !SAFE_NAME.test(key)) throw new RangeError(`not a storage name: ${bucket}/${key}`);
    return join(this.folder, bucket, key);
  }
}
