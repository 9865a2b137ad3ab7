/** What a scenario is played in: a Redis with a proxy before it, caches of this process and of others, and a source. */
export class World {
  constructor(adapter: Adapter, server: object, proxy: object);
  close(): Promise<void>;
}

/** A cache as scenarios see it. */
export interface Adapter {
  name: string;
  packages: readonly string[];
  lacks: readonly string[];
}
