// A web server whose routes are cached: /cached/<n> repeats, /cold/<n> never does.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { CacheService } = createRequire(import.meta.url)('../../index.js');
const cache = new CacheService({ redis: { host: '127.0.0.1', port: Number(process.argv[2]) }, prefix: 'outage:' });
cache.on('error', () => undefined);
const page = (path) => ({ path, title: `Page ${path}`, body: 'x'.repeat(500) });

const server = createServer(async (request, response) => {
  const { url } = request;
  if (url === '/coherent') {
    response.end(String((await cache.health()).coherent));
    return;
  }
  const value = await cache.getOrSet(url, () => page(url), 600);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
process.on('disconnect', () => process.exit());
