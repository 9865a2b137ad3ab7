// What a redis-server says of itself, asked over a connection that the contender has no part in.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

/** Sends one command and resolves to its reply: a bulk string or null, or the line of a simple one. */
export function ask(port, ...words) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
    });
    let received = Buffer.alloc(0);
    socket.setTimeout(60_000, () => socket.destroy(new Error(`${words[0]} timed out`)));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n');
      if (end < 0) return;
      const line = received.toString('latin1', 0, end);
      if (line[0] !== '$' || line === '$-1') {
        if (line[0] === '-') reject(new Error(line));
        else resolve(line === '$-1' ? null : line.slice(1));
        socket.end();
        return;
      }
      const length = Number(line.slice(1));
      if (received.length < end + 4 + length) return;
      resolve(received.toString('latin1', end + 2, end + 2 + length));
      socket.end();
    });
  });
}

async function info(port, section, fields) {
  const text = await ask(port, 'INFO', section);
  return fields.map((field) => Number(text.match(new RegExp(`^${field}:([0-9.]+)\r`, 'm'))[1]));
}

/** CPU that it has used, in microseconds. */
export async function serverMicros(port) {
  const [system, user] = await info(port, 'cpu', ['used_cpu_sys', 'used_cpu_user']);
  return (system + user) * 1e6;
}

/** Bytes of its data, with their overhead. */
export async function datasetBytes(port) {
  const [used] = await info(port, 'memory', ['used_memory_dataset']);
  return used;
}

/**
 * Milliseconds for which it could run and had no CPU: what of a slow command may be the machine's fault. Linux only;
 * elsewhere NaN.
 */
export async function waitedForCpuMs(port) {
  const [pid] = await info(port, 'server', ['process_id']);
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return Number.NaN;
  }
}
