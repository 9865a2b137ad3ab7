// One scenario with one cache, in a process of its own: a cache that crashes or hangs loses this row only. Prints JSON.
import { testTools } from '../harness/test-tools.mjs';
import { variants } from './adapters/index.mjs';
import { scenarios } from './scenarios/index.mjs';
import { World } from './world.mjs';

const [name, title] = process.argv.slice(2);
const scenario = scenarios.find((one) => one.title === title);
// A promise that a cache dropped is not what is looked at here.
process.on('unhandledRejection', () => undefined);
const { RedisServer, FlakyProxy } = await testTools();
const server = await RedisServer.start();
const proxy = await FlakyProxy.start({ port: server.port });
const world = new World(variants[name], server, proxy);
let wrong;
try {
  await scenario.play(world);
} catch (error) {
  wrong = error.name === 'Wrong' ? error.message : `${error.name}: ${error.message}`;
}
await Promise.race([world.close(), new Promise((resolve) => setTimeout(resolve, 3_000))]);
await proxy.stop();
await server.stop();
console.log(JSON.stringify({ wrong }));
process.exit(0);
