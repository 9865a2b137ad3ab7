// What it costs the JavaScript thread to hand something to the native core and to get it back. Prints JSON.
import { createRequire } from 'node:module';
import { clients } from '../commands/clients.mjs';
import { measure } from '../harness/cpu.mjs';

const require = createRequire(import.meta.url);
const { contender, port, measurement, operations, text, length } = JSON.parse(process.argv[2]);
const IN_FLIGHT = 64;

/** Nanoseconds of the main thread for one operation, after a warm-up of a fifth. */
async function nanosPer(operation) {
  await operation(operations / 5);
  globalThis.gc?.();
  const end = measure();
  await operation(operations);
  const { mainMicros, totalMicros } = end();
  return { mainNanos: (mainMicros * 1000) / operations, totalNanos: (totalMicros * 1000) / operations };
}

const measurements = {
  /** The floor of everything: a call that does nothing. */
  async 'native call'() {
    const { drain } = require('../../dist/native.js').door.native.functions();
    return nanosPer((count) => {
      for (let turn = 0; turn < count; turn += 1) drain();
    });
  },
  /** A string and its promise, both ways, with Redis as the echo. */
  async get() {
    const client = await clients[contender]({ port });
    await client.set('value', text.repeat(Math.ceil(length / text.length)));
    const result = await nanosPer((count) => roundTrips(count, () => client.get('value')));
    await client.close();
    return result;
  },
  async set() {
    const client = await clients[contender]({ port });
    const value = text.repeat(Math.ceil(length / text.length));
    const result = await nanosPer((count) => roundTrips(count, () => client.set('value', value)));
    await client.close();
    return result;
  },
};

async function roundTrips(count, operate) {
  let left = count;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await operate();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
}

console.log(JSON.stringify(await measurements[measurement]()));
process.exit(0);
