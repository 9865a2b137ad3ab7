// Loads the package again and again in one thread, as test runners with a module registry of their own do.
const path = require('node:path');

const root = path.join(__dirname, '..', '..', '..');
(async () => {
  let answered = 0;
  for (let round = 0; round < 20; round++) {
    for (const file of Object.keys(require.cache)) {
      // Every other round keeps the addon's own loader, so that one environment gets a second door.
      if (file.startsWith(root) && (round % 2 || !file.endsWith('.node'))) delete require.cache[file];
    }
    const { RedisService } = require('../../../index.js');
    const redis = new RedisService({ host: '127.0.0.1', port: Number(process.argv[2]) });
    await Promise.all(Array.from({ length: 100 }, () => redis.incr('loaded-again')));
    answered += 100;
    // Some are closed, some are left to their fate.
    if (round % 3) await redis.close();
  }
  process.stdout.write(String(answered));
})();
