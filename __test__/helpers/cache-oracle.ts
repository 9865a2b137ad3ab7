/** What a process of the model test did, in milliseconds of a clock that all processes share. */
export interface Step {
  kind: 'get' | 'getOrSet' | 'load' | 'set' | 'mset' | 'delete' | 'tag' | 'pattern' | 'clear';
  start: number;
  /** Missing when the call failed: it may have happened, or may still. */
  end?: number;
  key?: string;
  keys?: string[];
  entries?: { key: string; value: string }[];
  value?: string;
  tags?: string[];
  /** Seconds. */
  ttl?: number;
  tag?: string;
  group?: string;
  /** By a client that knows nothing of caches. */
  foreign?: boolean;
  result?: unknown;
}

/** A value that was written, or made by a load. */
interface Version {
  value: string;
  tags: readonly string[];
  start: number;
  end: number;
  process: number;
  foreign: boolean;
  /** A set must be readable afterwards; what a load made may be dropped. */
  isSet: boolean;
}

/** What ended older values of a key. */
interface Ending {
  what: string;
  process: number;
  start: number;
  end: number;
  foreign: boolean;
  /** Ends only values with this tag. */
  tag?: string;
  /** Ends only this value: it expires. */
  value?: string;
}

interface Read {
  process: number;
  start: number;
  end: number;
  result: string | null;
  isGet: boolean;
}

interface History {
  versions: Map<string, Version>;
  endings: Ending[];
  reads: Read[];
}

/**
 * Judges what processes read from a shared cache, as a check of linearizability does: by intervals. Calls that overlap
 * may have happened in either order; of those that do not, the later one knows of the earlier.
 *
 * - A process never reads what it ended itself: a value whose write, or whose load's beginning, lies before that. Ended by
 *   a tag, it may be read for `boundMs`: a read that joins another which began before gets what that one gets.
 * - Nobody reads what anybody ended more than `boundMs` before.
 * - A value that was set is there until something ends it: at once for who set it, after `boundMs` for others.
 * - Nobody reads what nobody wrote under that key.
 *
 * Except that what a load makes may outlive a delete by a foreign client: where there is no key yet, the server tells nobody.
 */
export class CacheOracle {
  readonly #keys: readonly string[];
  readonly #boundMs: number;
  readonly #fenced: boolean;
  /** What each key had when the round began. */
  #before = new Map<string, Version>();

  /** With `fenced: false`, what a load makes may outlive what another process ended while it ran, tags excepted. */
  constructor(keys: readonly string[], boundMs: number, { fenced = true } = {}) {
    this.#keys = keys;
    this.#boundMs = boundMs;
    this.#fenced = fenced;
  }

  /**
   * Judges one round: the steps of each process. Then nothing may run, and `settled` holds the values that are left, by
   * the order of the keys. Returns what was wrong, in words.
   */
  judge(rounds: readonly (readonly Step[])[], settled: readonly (string | null)[]): string[] {
    const histories = this.#read(rounds);
    const wrong = [...histories].flatMap(([key, history]) => this.#judgeKey(key, history));
    const end = Math.max(0, ...rounds.flat().map((step) => step.end ?? step.start));
    this.#before = new Map();
    for (const [at, key] of this.#keys.entries()) {
      const value = settled[at] ?? null;
      const history = histories.get(key)!;
      const last: Read = { process: -1, start: end + 2 * this.#boundMs, end: Infinity, result: value, isGet: true };
      wrong.push(...this.#judgeKey(key, { ...history, reads: [last] }).map((one) => `in the end, ${one}`));
      const version = value === null ? undefined : history.versions.get(value);
      if (version !== undefined) this.#before.set(key, { ...version, isSet: false });
    }
    return wrong;
  }

  #read(rounds: readonly (readonly Step[])[]): Map<string, History> {
    const histories = new Map<string, History>();
    for (const key of this.#keys) {
      const before = this.#before.get(key);
      const versions = new Map(before === undefined ? [] : [[before.value, before]]);
      histories.set(key, { versions, endings: [], reads: [] });
    }
    for (const [process, steps] of rounds.entries()) {
      for (const step of steps) this.#note(histories, process, step);
    }
    return histories;
  }

  #note(histories: Map<string, History>, process: number, step: Step): void {
    const { kind, start, end = Number.POSITIVE_INFINITY, foreign = false } = step;
    const wrote = (key: string, value: string, tags: readonly string[], ttl?: number) => {
      const { versions, endings } = histories.get(key)!;
      const isSet = kind !== 'load' && end !== Number.POSITIVE_INFINITY;
      versions.set(value, { value, tags, start, end, process, foreign, isSet });
      if (kind === 'load') return;
      endings.push({ what: `set of ${value}`, process, start, end, foreign });
      if (ttl === undefined || ttl >= 60) return;
      const life = ttl * 1000;
      endings.push({ what: 'expiry', process, start: start + life, end: end + life, foreign: true, value });
    };
    const ended = (keys: readonly string[], what: string, tag?: string) => {
      for (const key of keys) histories.get(key)!.endings.push({ what, process, start, end, foreign, tag });
    };
    if (kind === 'get' || kind === 'getOrSet') {
      if (step.end === undefined) return;
      const result = (step.result ?? null) as string | null;
      histories.get(step.key!)!.reads.push({ process, start, end, result, isGet: kind === 'get' });
    } else if (kind === 'load' || kind === 'set') {
      wrote(step.key!, step.value!, step.tags!, step.ttl);
    } else if (kind === 'mset') {
      for (const { key, value } of step.entries!) wrote(key, value, []);
    } else if (kind === 'delete') {
      ended(step.keys!, 'delete');
    } else if (kind === 'tag') {
      ended(this.#keys, `invalidation of ${step.tag}`, step.tag);
    } else if (kind === 'pattern') {
      ended(
        this.#keys.filter((key) => key.startsWith(step.group!)),
        `delete of ${step.group}*`,
      );
    } else {
      ended(this.#keys, 'clear');
    }
  }

  #judgeKey(key: string, { versions, endings, reads }: History): string[] {
    const wrong: string[] = [];
    const known = (ending: Ending, version: Version) =>
      ending.tag !== undefined || (ending.process === version.process && !ending.foreign);
    const ends = (ending: Ending, version: Version) =>
      (version.isSet || (this.#fenced ? !(ending.foreign && ending.what === 'delete') : known(ending, version))) &&
      (ending.tag === undefined || version.tags.includes(ending.tag)) &&
      (ending.value === undefined || ending.value === version.value);
    for (const read of [...reads].sort((a, b) => a.start - b.start)) {
      const at = `process ${read.process} at ${read.start.toFixed(1)} read ${key}`;
      if (read.result === null) {
        if (!read.isGet) continue;
        const lost = [...versions.values()].find(
          (version) =>
            version.isSet &&
            version.end + (version.process === read.process && !version.foreign ? 0 : this.#boundMs) < read.start &&
            !endings.some(
              (ending) =>
                ending.what !== `set of ${version.value}` &&
                ends(ending, version) &&
                ending.end > version.start &&
                ending.start < read.end,
            ),
        );
        if (lost) wrong.push(`${at}: nothing, though ${lost.value} was set at ${lost.end.toFixed(1)}`);
        continue;
      }
      const version = versions.get(read.result);
      if (version === undefined || version.start > read.end) {
        wrong.push(`${at}: ${read.result}, which was ended long before, or never written`);
        continue;
      }
      const stale = endings.find(
        (ending) =>
          ends(ending, version) &&
          ending.start > version.end &&
          ending.end + (ending.process === read.process && !ending.foreign && !ending.tag ? 0 : this.#boundMs) <
            read.start,
      );
      if (stale) {
        const when = `${stale.start.toFixed(1)} to ${stale.end.toFixed(1)}`;
        wrong.push(
          `${at}: ${read.result} of ${version.end.toFixed(1)}, ended by ${stale.what}, process ${stale.process}, ${when}`,
        );
      }
    }
    return wrong;
  }
}
