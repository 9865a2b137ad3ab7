export {
  createTestInfra,
  type PublishedMessage,
  type RecordedEvent,
  TestInfra,
  type TestInfraOptions,
} from './dist/testing/index.js';
