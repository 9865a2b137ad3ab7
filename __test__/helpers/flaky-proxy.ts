import { createServer, type Server, Socket } from 'node:net';

interface Pair {
  client: Socket;
  upstream: Socket;
}

/** Where the proxy leads to: a port on loopback, or a unix socket. */
export type Upstream = { port: number; host?: string } | { path: string };

/**
 * A TCP proxy that fails on purpose: it cuts connections, goes silent without closing them (a half-open socket), or
 * delays what passes.
 */
export class FlakyProxy implements AsyncDisposable {
  readonly host = '127.0.0.1';
  /** Connections taken since the start. */
  connections = 0;
  #pairs = new Set<Pair>();
  #silent = false;
  #refusing = false;
  #delayMs = 0;
  #timers = new Set<NodeJS.Timeout>();

  private constructor(
    private readonly server: Server,
    private readonly upstream: Upstream,
  ) {}

  static async start(upstream: Upstream): Promise<FlakyProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new FlakyProxy(server, upstream);
    server.on('connection', (client) => proxy.#accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, proxy.host, resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`;
  }

  /** Connections open at this moment. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Resets every open connection; new ones are taken as before. */
  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
    this.#pairs.clear();
  }

  /** Takes no more bytes in either direction and closes nothing, for open and for new connections. */
  silence(): void {
    this.#silent = true;
  }

  /** Resets each new connection at once until `heal`. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Holds back each chunk, in both directions, for this long. Order is kept. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /**
   * Passes bytes again without delay. What was swallowed while silent stays lost, so connections from that time are
   * cut: their streams are no longer whole.
   */
  heal(): void {
    this.#refusing = false;
    this.#delayMs = 0;
    if (this.#silent) {
      this.#silent = false;
      this.cut();
    }
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.cut();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(client: Socket): void {
    this.connections++;
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = new Socket({ allowHalfOpen: true });
    const pair = { client, upstream };
    this.#pairs.add(pair);
    this.#pass(pair, client, upstream);
    this.#pass(pair, upstream, client);
    upstream.connect(this.upstream);
  }

  #pass(pair: Pair, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on('data', (chunk) => this.#later(() => to.writable && to.write(chunk)));
    from.on('end', () => this.#later(() => to.end()));
    from.on('error', () => this.#drop(pair));
    from.on('close', () => this.#drop(pair));
  }

  /** Timers of equal length fire in the order they were set. */
  #later(act: () => void): void {
    if (this.#silent) return;
    if (this.#delayMs === 0 && this.#timers.size === 0) {
      act();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#silent) act();
    }, this.#delayMs);
    this.#timers.add(timer);
  }

  #drop(pair: Pair): void {
    // While silent, neither side may learn that the other has gone.
    if (this.#silent || !this.#pairs.delete(pair)) return;
    pair.client.destroy();
    pair.upstream.destroy();
  }
}
