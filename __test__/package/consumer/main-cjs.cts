import oxcart = require('oxcart');
import services = require('./services.js');

if (typeof oxcart.CacheService !== 'function') throw new Error('no CacheService');
services.useEverything(process.argv[2]!).then((seen) => console.log(JSON.stringify(seen)));
