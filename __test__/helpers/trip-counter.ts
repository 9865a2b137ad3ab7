import { createServer, type Server, Socket } from 'node:net';

/**
 * A proxy that counts round trips: what a client sends until it has seen an answer to any of it. Answers are held back for so
 * long that everything sent without waiting for them belongs to one trip.
 */
export class TripCounter implements AsyncDisposable {
  /** Round trips of each connection, by the order in which they were opened. */
  readonly trips: number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number, delayMs: number) {
    this.#server = createServer((client) => {
      const upstream = new Socket().connect(port, '127.0.0.1');
      const at = this.trips.push(0) - 1;
      let waits = false;
      client.on('data', (bytes) => {
        if (!waits) this.trips[at]!++;
        waits = true;
        upstream.write(bytes);
      });
      upstream.on('data', (bytes) => {
        setTimeout(() => {
          waits = false;
          client.write(bytes);
        }, delayMs);
      });
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
  }

  static async start(port: number, delayMs: number): Promise<TripCounter> {
    const counter = new TripCounter(port, delayMs);
    await new Promise<void>((resolve, reject) => {
      counter.#server.once('error', reject);
      counter.#server.listen(0, '127.0.0.1', resolve);
    });
    return counter;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** The most trips that a connection took for `work`. */
  async during(work: () => Promise<unknown>): Promise<number> {
    const before = [...this.trips];
    await work();
    return Math.max(...this.trips.map((trips, at) => trips - (before[at] ?? 0)));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
