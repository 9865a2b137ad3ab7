import { door, NativeTestTime } from './native.js';
import { systemNow } from './system-time.js';

let prefix: string | undefined;

/**
 * The time that a service stores, in milliseconds since the epoch: the system's, or on the engine of a test the one that the
 * test moves.
 *
 * @throws `ERR_CLOSED` for the engine of a test that is over.
 */
export function timeAt(url: string | undefined): () => number {
  if (!url?.startsWith('memory://')) return systemNow;
  prefix ??= NativeTestTime.prefix();
  if (!url.startsWith(prefix)) return systemNow;
  const time = NativeTestTime.of(door.native, url);
  return () => {
    door.follow();
    return time.nowMs;
  };
}
