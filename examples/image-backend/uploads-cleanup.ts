import type { Job } from 'oxcart';
import type { Storage } from './storage.js';

/** The cron job: removes originals that are older than their job needs them. */
export class UploadsCleanup {
  runs = 0;
  removed = 0;

  constructor(private readonly storage: Storage) {}

  async process(job: Job<{ maxAgeMs: number }, { removed: number }>): Promise<{ removed: number }> {
    const limit = Date.now() - job.data.maxAgeMs;
    const old = (await this.storage.list('uploads')).filter(({ modified }) => modified.getTime() < limit);
    await Promise.all(old.map(({ key }) => this.storage.removeFile('uploads', key)));
    this.runs++;
    this.removed += old.length;
    return { removed: old.length };
  }
}
