import type { World } from '../world.mjs';

export interface Scenario {
  title: string;
  /** Features without which a cache cannot play it. */
  needs: readonly string[];
  /** Fails when the cache does what is not right. */
  play(world: World): Promise<void>;
}

export const scenarios: readonly Scenario[];
