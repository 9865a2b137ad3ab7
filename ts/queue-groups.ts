import type { Job } from './job.js';
import { QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import { toJson } from './json.js';
import { QueueDeadLetters } from './queue-dead-letters.js';
import type { GroupLimits, GroupState } from './types/group-types.js';

/** Groups of jobs that share a queue fairly: see the job option `group`. */
export abstract class QueueGroups<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends QueueDeadLetters<Data, Result, Name, J> {
  /** Sets the bounds of groups that have none of their own; what is left out is taken away. Workers with `group` set them too. */
  async setGroupLimits(limits: GroupLimits): Promise<void> {
    await this.call(QUEUE_CALL.setGroupLimits, [toJson(limits, 'limits', '{}')]);
  }

  /** At most so many jobs of one group running at once, in all workers of all processes; `null`: as all groups have it. */
  async setGroupConcurrency(groupId: string, concurrency: number | null): Promise<void> {
    await this.call(QUEUE_CALL.setGroupConcurrency, [groupId, concurrency ?? undefined]);
  }

  /** The group's own bound, else that of all groups; undefined where there is none. */
  async getGroupConcurrency(groupId: string): Promise<number | undefined> {
    return ((await this.call(QUEUE_CALL.getGroupConcurrency, [groupId])) as number | null) ?? undefined;
  }

  /** At most `max` jobs of one group started in each `duration` (milliseconds), by all workers of all processes. */
  async setGroupRateLimit(groupId: string, max: number, duration: number): Promise<void> {
    await this.call(QUEUE_CALL.setGroupRateLimit, [groupId, max, duration]);
  }

  /** The group has the rate limit of all groups again. */
  async removeGroupRateLimit(groupId: string): Promise<void> {
    await this.call(QUEUE_CALL.setGroupRateLimit, [groupId]);
  }

  /** Milliseconds until a group that rests goes on; 0 when it does not rest. */
  async getGroupRateLimitTtl(groupId: string): Promise<number> {
    return (await this.call(QUEUE_CALL.getGroupRateLimitTtl, [groupId])) as number;
  }

  /** Lets no worker take a job of the group. False when it was paused already. */
  async pauseGroup(groupId: string): Promise<boolean> {
    return (await this.call(QUEUE_CALL.pauseGroup, [groupId])) as boolean;
  }

  /** False when the group was not paused. */
  async resumeGroup(groupId: string): Promise<boolean> {
    return (await this.call(QUEUE_CALL.resumeGroup, [groupId])) as boolean;
  }

  /** Groups with waiting jobs, `start..=end`, the smallest first. */
  async getGroups(start = 0, end = -1): Promise<GroupState[]> {
    const rows = (await this.call(QUEUE_CALL.getGroups, [start, end])) as [
      string,
      number,
      number,
      GroupState['status'],
    ][];
    return rows.map(([id, waiting, active, status]) => ({ id, waiting, active, status }));
  }

  /** Waiting jobs in all groups. */
  async getGroupsJobsCount(): Promise<number> {
    return (await this.call(QUEUE_CALL.getGroupsJobsCount, [])) as number;
  }

  /** Waiting jobs of a group. */
  async getGroupJobsCount(groupId: string): Promise<number> {
    return (await this.call(QUEUE_CALL.getGroupJobsCount, [groupId])) as number;
  }

  /** Running jobs of a group. */
  async getGroupActiveCount(groupId: string): Promise<number> {
    return (await this.call(QUEUE_CALL.getGroupActiveCount, [groupId])) as number;
  }

  /** Waiting jobs `start..=end` of a group, the next one first. */
  async getGroupJobs(groupId: string, start = 0, end = -1): Promise<J[]> {
    const rows = (await this.call(QUEUE_CALL.getGroupJobs, [groupId, start, end])) as JobRow[];
    return rows.map((row) => this.Job.fromRow(this.host, row));
  }

  /** Waiting jobs of a group with each of the priorities, by priority. */
  async getCountsPerPriorityForGroup(groupId: string, priorities: number[]): Promise<Record<string, number>> {
    if (priorities.length === 0) return {};
    const counts = (await this.call(QUEUE_CALL.getGroupCountsPerPriority, [groupId, priorities.join()])) as number[];
    return Object.fromEntries(priorities.map((priority, index) => [String(priority), counts[index] ?? 0]));
  }
}
