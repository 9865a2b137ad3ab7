import { scenarios as abort } from './abort.mjs';
import { scenarios as acrossProcesses } from './across-processes.mjs';
import { scenarios as coherence } from './coherence.mjs';
import { scenarios as grace } from './grace.mjs';
import { scenarios as invalidateDuringLoad } from './invalidate-during-load.mjs';
import { scenarios as outages } from './outages.mjs';
import { scenarios as stampedes } from './stampedes.mjs';
import { scenarios as tags } from './tags.mjs';
import { scenarios as timeouts } from './timeouts.mjs';
import { scenarios as values } from './values.mjs';

/** Every row of the scoreboard: its title, the features without which a cache cannot play it, and the play. */
export const scenarios = [
  invalidateDuringLoad,
  tags,
  coherence,
  values,
  stampedes,
  acrossProcesses,
  grace,
  timeouts,
  abort,
  outages,
].flat();
