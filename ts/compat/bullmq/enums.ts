// Values that BullMQ's users read and write; the same as there.

/** What a script refused a call for; `error.code` of what methods reject with. */
export enum ErrorCode {
  JobNotExist = -1,
  JobLockNotExist = -2,
  JobNotInState = -3,
  JobPendingChildren = -4,
  ParentJobNotExist = -5,
  JobLockMismatch = -6,
  ParentJobCannotBeReplaced = -7,
  JobBelongsToJobScheduler = -8,
  JobHasFailedChildren = -9,
  SchedulerJobIdCollision = -10,
  SchedulerJobSlotsBusy = -11,
}

/** Minutes, for `metrics.maxDataPoints`. */
export enum MetricsTime {
  ONE_MINUTE = 1,
  FIVE_MINUTES = 5,
  FIFTEEN_MINUTES = 15,
  THIRTY_MINUTES = 30,
  ONE_HOUR = 60,
  ONE_WEEK = 60 * 24 * 7,
  TWO_WEEKS = 60 * 24 * 7 * 2,
  ONE_MONTH = 60 * 24 * 7 * 2 * 4,
}

export enum ClientType {
  blocking = 'blocking',
  normal = 'normal',
}
