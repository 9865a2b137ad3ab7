import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.js';

const run = promisify(execFile);

/** Who it runs as where tests run as root, which PostgreSQL refuses. */
const USER = 'postgres';

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function binaries(): string {
  const given = process.env['OXCART_TEST_POSTGRES_BIN'];
  if (given) return given;
  const versions = '/usr/lib/postgresql';
  const folders = existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : [];
  const found = folders.filter((folder) => existsSync(join(folder, 'initdb'))).sort();
  if (found.length === 0) throw new Error('PostgreSQL is missing: run `npm run setup`');
  return found.at(-1)!;
}

/** The program and its arguments, as a user who may run PostgreSQL. */
function asUser(name: string, args: string[]): [string, string[]] {
  const program = join(binaries(), name);
  if (process.getuid?.() !== 0) return [program, args];
  return ['setpriv', [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', program, ...args]];
}

/** A PostgreSQL of a test's own, which listens on a Unix socket in a temporary directory only. */
export class PostgresServer implements AsyncDisposable {
  #child: ChildProcess | undefined;

  private constructor(readonly directory: string) {}

  static async start(): Promise<PostgresServer> {
    const directory = await mkdtemp(join(tmpdir(), 'oxcart-postgres-'));
    const server = new PostgresServer(directory);
    try {
      if (process.getuid?.() === 0) {
        const id = async (flag: string) => Number((await run('id', [flag, USER])).stdout);
        await chown(directory, await id('-u'), await id('-g'));
      }
      const data = join(directory, 'data');
      const options = ['--no-sync', '--auth=trust', '--username=oxcart', '--encoding=UTF8', '--no-locale', '-D', data];
      await run(...asUser('initdb', options), { cwd: directory });
      const settings = ['listen_addresses=', 'port=5432', `unix_socket_directories=${directory}`];
      const args = ['-F', ...settings.flatMap((setting) => ['-c', setting]), '-D', data];
      const child = spawn(...asUser('postgres', args), { cwd: directory, stdio: 'ignore' });
      server.#child = child;
      running.add(child);
      child.once('exit', () => running.delete(child));
      await waitFor(
        () =>
          server.ask('SELECT 1').then(
            () => true,
            () => false,
          ),
        { timeoutMs: 60_000, what: 'PostgreSQL' },
      );
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** For `level3.url`. */
  get url(): string {
    return `postgres://oxcart@localhost:5432/postgres?host=${encodeURIComponent(this.directory)}`;
  }

  /** What a statement gives, as text. */
  async ask(sql: string): Promise<string> {
    const to = ['-U', 'oxcart', '-d', 'postgres', '-p', '5432', '-h', this.directory];
    const { stdout } = await run(join(binaries(), 'psql'), ['-X', '-A', '-t', '-q', ...to, '-c', sql]);
    return stdout.trim();
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      // All of its processes, at once, and no files left to be written.
      child.kill('SIGQUIT');
      await gone;
    }
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
