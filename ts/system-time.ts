// The system's time and timers as they were when the package was loaded. Fake timers of a test, which replace the globals,
// must neither stop the traffic nor part what this package takes for now from what the server does.

/** Milliseconds since the epoch. */
export const systemNow: () => number = Date.now;

export const {
  setTimeout: startTimeout,
  clearTimeout: stopTimeout,
  setInterval: startInterval,
  clearInterval: stopInterval,
  setImmediate: nextTurn,
} = globalThis;

export const { nextTick } = process;
