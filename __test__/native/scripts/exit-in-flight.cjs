// Calls `process.exit` with calls at every stage: not submitted, in flight, being answered.
const { RedisService } = require('../../../index.js');

const [port, stage] = process.argv.slice(2);
const redis = new RedisService({ host: '127.0.0.1', port: Number(port) });
const start = () => {
  for (let i = 0; i < 2_000; i++) redis.get('key').catch(() => undefined);
};
if (stage === 'before-connecting') {
  start();
  process.exit(0);
}
redis.set('key', 'x'.repeat(1_000)).then(() => {
  start();
  if (stage === 'before-submitting') process.exit(0);
  if (stage === 'in-flight') setImmediate(() => setImmediate(() => process.exit(0)));
  if (stage === 'while-answering') redis.get('key').then(() => process.exit(0));
  if (stage === 'inside-a-listener') {
    redis.on('state', () => process.exit(0));
    void redis.close();
  }
});
