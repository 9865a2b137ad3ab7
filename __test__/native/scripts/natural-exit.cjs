// Uses the package and closes nothing: the process must end by itself, after the last reply.
const { RedisService } = require('../../../index.js');

const redis = new RedisService({ host: '127.0.0.1', port: Number(process.argv[2]) });
redis.set('natural-exit', 'seen').then(() => redis.get('natural-exit').then((value) => process.stdout.write(value)));
