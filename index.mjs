import oxcart from './index.js';

export const {
  ArgumentError,
  ClosedError,
  ConnectionError,
  InternalError,
  JobStateError,
  OptionError,
  OverloadedError,
  OxcartError,
  RedisService,
  ReplyError,
  TimeoutError,
} = oxcart;
