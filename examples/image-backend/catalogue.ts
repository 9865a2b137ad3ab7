import type { CacheService } from 'oxcart';
import sharp from 'sharp';
import type { Storage } from './storage.js';

export interface CatalogueItem {
  key: string;
  format: string;
  width: number;
  height: number;
  bytes: number;
  /** The colour that most of the picture has, as `#rrggbb`. */
  dominantColour: string;
}

const TAG = 'catalogue';

/** The finished images with what a shop page shows of them. Reading all pixels is slow, so answers are cached. */
export class Catalogue {
  /** Times that an answer had to be worked out. */
  computed = 0;

  constructor(
    private readonly cache: CacheService,
    private readonly storage: Storage,
  ) {}

  /** Undefined when there is no such image. */
  async item(key: string): Promise<CatalogueItem | undefined> {
    const found = await this.cache.getOrSet<CatalogueItem | null>(`item:${key}`, () => this.describe(key), {
      ttl: 300,
      tags: [TAG],
    });
    return found ?? undefined;
  }

  async list(): Promise<CatalogueItem[]> {
    return this.cache.getOrSet<CatalogueItem[]>(
      'list',
      async () => {
        const files = await this.storage.list('avatars');
        const items = await Promise.all(files.map(({ key }) => this.describe(key)));
        return items.filter((item) => item !== null);
      },
      { ttl: 300, tags: [TAG] },
    );
  }

  /** After a new image: every answer is worked out anew when it is next asked for. */
  async changed(): Promise<void> {
    await this.cache.invalidateByTag(TAG);
  }

  private async describe(key: string): Promise<CatalogueItem | null> {
    this.computed++;
    const image = await this.storage.downloadFile('avatars', key);
    if (!image) return null;
    const { format, width, height } = await sharp(image).metadata();
    const { dominant } = await sharp(image).stats();
    const hex = [dominant.r, dominant.g, dominant.b].map((value) => value.toString(16).padStart(2, '0')).join('');
    return { key, format, width, height, bytes: image.length, dominantColour: `#${hex}` };
  }
}
