/** Cron patterns that applications use most: minute, hour, day of month, month, day of week. */
export const CRON_PATTERNS = {
  EVERY_MINUTE: '* * * * *',
  EVERY_5_MINUTES: '*/5 * * * *',
  EVERY_15_MINUTES: '*/15 * * * *',
  EVERY_30_MINUTES: '*/30 * * * *',
  EVERY_HOUR: '0 * * * *',
  EVERY_DAY_MIDNIGHT: '0 0 * * *',
  EVERY_DAY_3AM: '0 3 * * *',
  EVERY_SUNDAY: '0 0 * * 0',
  /** At nine in the morning. */
  EVERY_MONDAY: '0 9 * * 1',
} as const;
