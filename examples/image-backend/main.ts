import { startBackend } from './server.js';

const redisUrl = process.env['REDIS_URL'];
const folder = process.env['STORAGE_FOLDER'];
if (!redisUrl || !folder) throw new Error('REDIS_URL and STORAGE_FOLDER say where to keep things');

startBackend({ redisUrl, folder, port: Number(process.env['PORT'] ?? 0) }).then(
  (backend) => {
    console.log(`listening on ${backend.url}`);
    process.once('SIGTERM', () => {
      backend.close().catch((error) => {
        console.error(error);
        process.exit(1);
      });
    });
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
