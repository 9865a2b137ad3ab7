// What users import from `oxcart/testing`. testing.js, testing.mjs, testing.d.ts and testing.d.mts list the same names.

export {
  createTestInfra,
  type PublishedMessage,
  type RecordedEvent,
  TestInfra,
  type TestInfraOptions,
} from './test-infra.js';
