/**
 * The decoded values that one thread reads most, by reference: a hit is a `Map` lookup and one comparison.
 *
 * It owns nothing. An entry is valid only while the process-wide epochs (`src/cache/epochs.rs`) that it was filled under
 * still add up to its stamp, so a delete on any thread ends it here at once, without a message.
 *
 * Eviction is SIEVE: entries stand in the order in which they came; a hand moves from the oldest to the newest, takes
 * the first that was not read since the hand passed last, and forgives the others. A hit moves nothing, it sets a bit.
 */

/** What an entry depends on, and when it ends. */
export interface Validity {
  /** Shards of the epochs: of the key, and of the tags if there are any. */
  readonly shard: number;
  readonly tags: readonly number[] | undefined;
  /** Sum of the epochs, those of the sweep included, when the value was asked for. */
  readonly stamp: number;
}

export interface HotContent {
  readonly value: unknown;
  /** What copies of the value are made from, when every caller gets one. */
  readonly text: string | undefined;
  /** Already resolved with the value: what a hit returns. */
  readonly promise: Promise<unknown>;
  /** Approximate. */
  readonly bytes: number;
}

export interface HotEntry extends HotContent, Validity {
  readonly key: string;
  readonly expiresAt: number;
  visited: boolean;
  newer: HotEntry | undefined;
  older: HotEntry | undefined;
}

export interface HotViewOptions {
  /** The epochs of the process. */
  epochs: Int32Array;
  /** Shard that pattern deletes and flushes of this cache move. */
  sweep: number;
  maxEntries: number;
  /** Approximate: of keys and values as text. */
  maxBytes: number;
  clock: { now(): number };
}

/** What an entry costs beside its key and its value. */
const OVERHEAD = 200;

export class HotView {
  readonly #entries = new Map<string, HotEntry>();
  readonly #epochs: Int32Array;
  readonly #sweep: number;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #clock: { now(): number };
  /** How often `get` found an entry. */
  hits = 0;
  #bytes = 0;
  #newest: HotEntry | undefined;
  #oldest: HotEntry | undefined;
  #hand: HotEntry | undefined;

  constructor(options: HotViewOptions) {
    this.#epochs = options.epochs;
    this.#sweep = options.sweep;
    this.#maxEntries = options.maxEntries;
    this.#maxBytes = options.maxBytes;
    this.#clock = options.clock;
  }

  /** A valid entry. */
  get(key: string): HotEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (
      entry.tags === undefined &&
      ((this.#epochs[entry.shard]! + this.#epochs[this.#sweep]!) | 0) === entry.stamp &&
      this.#clock.now() < entry.expiresAt
    ) {
      entry.visited = true;
      this.hits++;
      return entry;
    }
    return this.#getSlowly(entry);
  }

  #getSlowly(entry: HotEntry): HotEntry | undefined {
    if (this.holds(entry) && this.#clock.now() < entry.expiresAt) {
      entry.visited = true;
      this.hits++;
      return entry;
    }
    this.#remove(entry);
    return undefined;
  }

  /** Whether nothing that a value depends on was invalidated since its stamp was taken. */
  holds(validity: Validity): boolean {
    const epochs = this.#epochs;
    let sum = epochs[validity.shard]! + epochs[this.#sweep]!;
    if (validity.tags !== undefined) for (const shard of validity.tags) sum = (sum + epochs[shard]!) | 0;
    return (sum | 0) === validity.stamp;
  }

  /** Keeps a value for `lifeMs`, if it still holds. */
  set(key: string, content: HotContent, validity: Validity, lifeMs: number): void {
    const replaced = this.#entries.get(key);
    if (replaced !== undefined) this.#remove(replaced);
    const size = content.bytes + 2 * key.length + OVERHEAD;
    if (size > this.#maxBytes || this.#maxEntries === 0 || !this.holds(validity)) return;
    while (this.#entries.size >= this.#maxEntries || this.#bytes + size > this.#maxBytes) this.#evict();
    const entry: HotEntry = {
      key,
      value: content.value,
      text: content.text,
      promise: content.promise,
      bytes: size,
      shard: validity.shard,
      tags: validity.tags,
      stamp: validity.stamp,
      expiresAt: this.#clock.now() + lifeMs,
      visited: false,
      newer: undefined,
      older: this.#newest,
    };
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#entries.set(key, entry);
    this.#bytes += size;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#remove(entry);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
    this.#newest = this.#oldest = this.#hand = undefined;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Approximate bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  #evict(): void {
    let entry = this.#hand ?? this.#oldest;
    while (entry?.visited) {
      entry.visited = false;
      entry = entry.newer ?? this.#oldest;
    }
    if (entry === undefined) return;
    this.#hand = entry;
    this.#remove(entry);
  }

  #remove(entry: HotEntry): void {
    if (this.#hand === entry) this.#hand = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    this.#entries.delete(entry.key);
    this.#bytes -= entry.bytes;
  }
}
