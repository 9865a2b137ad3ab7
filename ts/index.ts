// What users import from `oxcart`. index.js, index.mjs, index.d.ts and index.d.mts list the same names.
export {
  ArgumentError,
  ClosedError,
  ConnectionError,
  type ErrorCode,
  type ErrorDetails,
  InternalError,
  JobStateError,
  OptionError,
  OverloadedError,
  OxcartError,
  ReplyError,
  TimeoutError,
} from './errors.js';
export { type RedisEvents, RedisService } from './redis.js';
export type { RedisArgument, RedisBufferReply, RedisReply, SetOptions } from './redis-commands.js';
export type { Pipeline, PipelineResult } from './redis-pipeline.js';
export type { ConnectionState, DatabaseRole, RedisConfig, TlsConfig } from './types/redis-config.js';
