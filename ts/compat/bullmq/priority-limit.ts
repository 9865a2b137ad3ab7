/** The largest priority, which is the last in line. */
export const MAX_PRIORITY = 2_097_151;
