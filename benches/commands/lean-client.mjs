// A control, not a client to use: the least JavaScript that pipelines GET and SET of small ASCII values. It shows how
// much of a contender's time is the price of its own work, and what a native core can gain at all.
import { connect } from 'node:net';

export async function leanClient(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const waiting = [];
  let first = 0;
  let outgoing = '';
  let unread = '';

  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    const text = unread === '' ? chunk : unread + chunk;
    let at = 0;
    for (;;) {
      const lineEnd = text.indexOf('\r\n', at);
      if (lineEnd < 0) break;
      let value = null;
      let next = lineEnd + 2;
      if (text[at] === '$') {
        const length = Number(text.slice(at + 1, lineEnd));
        if (length >= 0) {
          if (text.length < next + length + 2) break;
          value = text.slice(next, next + length);
          next += length + 2;
        }
      } else {
        value = text.slice(at + 1, lineEnd);
      }
      at = next;
      waiting[first++](value);
    }
    unread = text.slice(at);
    if (first > 4096) {
      waiting.splice(0, first);
      first = 0;
    }
  });

  // Idle: write in the same tick for latency. Busy: once per loop turn, so that a turn costs one system call.
  const flush = () => {
    socket.write(outgoing, 'latin1');
    outgoing = '';
  };
  const send = (command) =>
    new Promise((resolve) => {
      if (outgoing === '') {
        if (waiting.length === first) process.nextTick(flush);
        else setImmediate(flush);
      }
      outgoing += command;
      waiting.push(resolve);
    });

  return {
    get: (key) => send(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`),
    set: (key, value) => send(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`),
    close: () => socket.destroy(),
  };
}
