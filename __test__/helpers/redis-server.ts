import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './wait-for.js';

export interface RedisServerOptions {
  /** Keep what was written over a restart. Default false: nothing touches the disk. */
  appendonly?: boolean;
  /** Listen on a unix socket as well; its path is `socketPath`. */
  unixSocket?: boolean;
  /** Ask for this password. */
  requirepass?: string;
  /** Further settings, as on the command line: `['--maxmemory', '10mb']`. */
  args?: string[];
  /** Environment variables of the server, besides this process's. */
  env?: Record<string, string>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  // 6379 belongs to whoever runs a Redis of their own on this machine.
  return port === 6379 ? freePort() : port;
}

/**
 * Whether suites that need no socket run without a server: `OXCART_TEST_ENGINE=memory`, or `file`. What breaks a server or
 * looks at it with another client needs one all the same, and skips itself then.
 */
export const inMemory = ['memory', 'file'].includes(process.env['OXCART_TEST_ENGINE'] ?? '');

let engines = 0;

/**
 * A `redis-server` of a test's own on a free loopback port. `OXCART_TEST_REDIS_SERVER` names another binary
 * (Valkey, another Redis version).
 */
export class RedisServer implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly #engine = ++engines;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly options: RedisServerOptions,
  ) {}

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    if (process.env['OXCART_TEST_ENGINE'] === 'memory') return new RedisServer(0, '', options);
    const directory = await mkdtemp(join(tmpdir(), 'oxcart-redis-'));
    if (inMemory) return new RedisServer(0, directory, options);
    // Another process may take the port between finding it and listening on it.
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(await freePort(), directory, options);
      try {
        await server.restart();
        return server;
      } catch (error) {
        await server.kill();
        if (attempt === 5) {
          await rm(directory, { recursive: true, force: true });
          throw error;
        }
      }
    }
  }

  get url(): string {
    if (this.directory !== '' && inMemory) return `file:${this.directory}`;
    if (inMemory) return `memory://test-${this.#engine}`;
    const password = this.options.requirepass;
    return `redis://${password ? `:${encodeURIComponent(password)}@` : ''}${this.host}:${this.port}`;
  }

  get socketPath(): string {
    return join(this.directory, 'redis.sock');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Ends the server as `kill -9` does; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Starts the server again on the same port, after `kill` or beside a running one (which is ended first). */
  async restart(): Promise<void> {
    if (inMemory) throw new Error('there is no server to start: this suite needs `skipIf(inMemory)`');
    await this.kill();
    const { appendonly = false, unixSocket = false, requirepass, args = [], env = {} } = this.options;
    const child = spawn(
      process.env['OXCART_TEST_REDIS_SERVER'] || 'redis-server',
      [
        ['--port', String(this.port), '--bind', this.host, '--dir', this.directory, '--save', ''],
        ['--appendonly', appendonly ? 'yes' : 'no'],
        // Every write is on disk before its reply: what `kill` leaves behind is exactly what was answered.
        appendonly ? ['--appendfsync', 'always'] : [],
        unixSocket ? ['--unixsocket', this.socketPath] : [],
        requirepass ? ['--requirepass', requirepass] : [],
        args,
      ].flat(),
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
    );
    this.#child = child;
    this.#output = '';
    running.add(child);
    child.once('exit', () => running.delete(child));
    // Without a listener a missing binary would end the test process.
    child.once('error', (error) => {
      this.#output += String(error);
      running.delete(child);
    });
    const collect = (chunk: Buffer) => {
      if (this.#output.length < 100_000) this.#output += chunk.toString();
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    await waitFor(
      async () => {
        if (child.exitCode !== null || child.pid === undefined) {
          throw new Error(`redis-server did not start:\n${this.#output}`);
        }
        const reply = await this.#ask('PING');
        return reply !== undefined && !reply.startsWith('-LOADING');
      },
      { timeoutMs: 10_000, what: `redis-server on port ${this.port}`, stopOnError: true },
    );
  }

  /** Stops the process for a while without closing its sockets: a server that hangs. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Ends the server and removes its directory. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.directory === '') return;
    await this.kill();
    // Of a file, the last files may be written at this very moment.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** First line of the answer to an inline command, or undefined while nobody listens. */
  #ask(command: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      const socket = new Socket();
      const done = (answer?: string) => {
        socket.destroy();
        resolve(answer);
      };
      socket.setTimeout(1_000, done);
      socket.once('error', () => done());
      socket.once('data', (data) => done(data.toString().split('\r\n')[0]));
      socket.connect(this.port, this.host, () => socket.write(`${command}\r\n`));
    });
  }
}
