// With OXCART_LONG_STACKS=1 an error shows who called, also when nobody awaited in an async function.
const { RedisService } = require('../../../index.js');

const redis = new RedisService({ host: '127.0.0.1', port: Number(process.argv[2]) });
function whoCalled() {
  return redis.call('ECHO');
}
whoCalled().then(undefined, (error) => process.stdout.write(error.stack));
