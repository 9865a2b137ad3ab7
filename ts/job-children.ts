import { JobBase, type ProgressAccess } from './job-base.js';
import { QUEUE_CALL } from './job-host.js';
import { storedJson } from './job-row.js';

/** How a child stands with its parent. */
export type DependencyKind = 'processed' | 'unprocessed' | 'ignored' | 'failed';

/** Where to begin reading children, and about how many to read. */
export interface DependencyCursor {
  /** Default 0, the first. */
  cursor?: number;
  /** Default 20. A server gives more where it stores few in one piece. */
  count?: number;
}

/** Which children to read. */
export type DependenciesOptions = Partial<Record<DependencyKind, DependencyCursor>>;

/** Children of a job by how they stand. Keys are `prefix:queue:id`; a cursor of 0 is the end. */
export interface JobDependencies<Result = any> {
  /** Completed ones with their results. */
  processed?: Record<string, Result>;
  nextProcessedCursor?: number;
  /** Unfinished ones. */
  unprocessed?: string[];
  nextUnprocessedCursor?: number;
  /** Failed ones that do not keep the job from running, with their reasons. */
  ignored?: Record<string, string>;
  nextIgnoredCursor?: number;
  /** Those that failed and make the job fail. */
  failed?: string[];
  nextFailedCursor?: number;
}

const KINDS = ['processed', 'unprocessed', 'ignored', 'failed'] as const;
const DEFAULT_COUNT = 20;

/** Key, value or null, key, value or null ... as the native side tells children. */
type FlatChildren = (string | null)[];

/** What a job knows of its children, and of its parent. */
export abstract class JobChildren<
  Data = any,
  Result = any,
  Name extends string = string,
  Progress = ProgressAccess,
> extends JobBase<Data, Result, Name, Progress> {
  /** Results of the children that have completed, by their keys (`prefix:queue:id`). */
  async getChildrenValues<Value = any>(): Promise<Record<string, Value>> {
    return results(await this.#children('processed'));
  }

  /**
   * Why children failed that the job runs in spite of (`ignoreDependencyOnFailure`, `continueParentOnFailure`), by their
   * keys.
   */
  async getIgnoredChildrenFailures(): Promise<Record<string, string>> {
    return reasons(await this.#children('ignored'));
  }

  /** BullMQ's earlier name of {@link getIgnoredChildrenFailures}. */
  getFailedChildrenValues(): Promise<Record<string, string>> {
    return this.getIgnoredChildrenFailures();
  }

  /**
   * The job's children.
   *
   * @param options Which kinds, a page of each; all children without it.
   */
  async getDependencies(options: DependenciesOptions = {}): Promise<JobDependencies> {
    const asked = KINDS.filter((kind) => options[kind] !== undefined);
    const all = asked.length === 0;
    const dependencies: JobDependencies = {};
    await Promise.all(
      (all ? KINDS : asked).map(async (kind) => {
        const { cursor = 0, count = DEFAULT_COUNT } = options[kind] ?? {};
        const [next, children] = all
          ? [undefined, await this.#children(kind)]
          : ((await this.call(QUEUE_CALL.scanChildren, [this.id, kind, cursor, count])) as [number, FlatChildren]);
        if (kind === 'processed') dependencies.processed = results(children);
        else if (kind === 'ignored') dependencies.ignored = reasons(children);
        else dependencies[kind] = keys(children);
        if (next !== undefined) dependencies[cursorName(kind)] = next;
      }),
    );
    return dependencies;
  }

  /** How many children there are of each kind, or of those that are asked for. */
  async getDependenciesCount(
    options: Partial<Record<DependencyKind, boolean>> = {},
  ): Promise<Partial<Record<DependencyKind, number>>> {
    const asked = KINDS.filter((kind) => options[kind]);
    const kinds = asked.length === 0 ? KINDS : asked;
    const counts = (await this.call(QUEUE_CALL.countChildren, [this.id, kinds.join()])) as number[];
    return Object.fromEntries(kinds.map((kind, index) => [kind, counts[index] ?? 0]));
  }

  /**
   * Parts this job from its parent, which no longer waits for it.
   *
   * @returns False when the parent does not wait for it.
   * @throws `ERR_JOB_NOT_FOUND`, `ERR_PARENT_JOB_NOT_FOUND`.
   */
  async removeChildDependency(): Promise<boolean> {
    const removed = (await this.call(QUEUE_CALL.removeChildDependency, [this.id])) as boolean;
    if (removed) {
      this.parent = undefined;
      this.parentKey = undefined;
    }
    return removed;
  }

  /** Removes the children that have neither begun nor finished, with theirs. */
  async removeUnprocessedChildren(): Promise<void> {
    await this.call(QUEUE_CALL.removeUnprocessedChildren, [this.id]);
  }

  async #children(kind: DependencyKind): Promise<FlatChildren> {
    return (await this.call(QUEUE_CALL.getChildren, [this.id, kind])) as FlatChildren;
  }
}

function keys(children: FlatChildren): string[] {
  return children.filter((_, index) => index % 2 === 0) as string[];
}

function reasons(children: FlatChildren): Record<string, string> {
  return Object.fromEntries(keys(children).map((key, index) => [key, children[2 * index + 1] ?? '']));
}

function results(children: FlatChildren): Record<string, any> {
  return Object.fromEntries(keys(children).map((key, index) => [key, storedJson(children[2 * index + 1] ?? 'null')]));
}

function cursorName(kind: DependencyKind) {
  const names = {
    processed: 'nextProcessedCursor',
    unprocessed: 'nextUnprocessedCursor',
    ignored: 'nextIgnoredCursor',
    failed: 'nextFailedCursor',
  } as const;
  return names[kind];
}
