const oxcart = require('./dist/index.js');

module.exports = {
  ArgumentError: oxcart.ArgumentError,
  ClosedError: oxcart.ClosedError,
  ConnectionError: oxcart.ConnectionError,
  InternalError: oxcart.InternalError,
  JobStateError: oxcart.JobStateError,
  OptionError: oxcart.OptionError,
  OverloadedError: oxcart.OverloadedError,
  OxcartError: oxcart.OxcartError,
  RedisService: oxcart.RedisService,
  ReplyError: oxcart.ReplyError,
  TimeoutError: oxcart.TimeoutError,
};
