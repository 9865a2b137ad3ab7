import oxcart = require('oxcart');
import bullmq = require('oxcart/bullmq');
import services = require('./services.js');

if (typeof oxcart.CacheService !== 'function') throw new Error('no CacheService');
if (typeof bullmq.Worker !== 'function') throw new Error('no worker of oxcart/bullmq');
services.useEverything(process.argv[2]!).then((seen) => console.log(JSON.stringify(seen)));
