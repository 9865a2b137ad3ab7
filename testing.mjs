import testing from './testing.js';

export const { createTestInfra, TestInfra } = testing;
