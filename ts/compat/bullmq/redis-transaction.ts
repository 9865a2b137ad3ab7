import { invalidArgument } from '../../errors.js';
import type { RedisArgument } from '../../redis/command-types.js';

type Command = [name: string, ...args: RedisArgument[]];

/** Runs commands, of which each is a count of words and the words, as one. A command that fails does not end the others. */
const AS_ONE = `
local at, replies = 1, {}
while at <= #ARGV do
  local words, command = tonumber(ARGV[at]), {}
  for word = 1, words do
    command[word] = ARGV[at + word]
  end
  at = at + words + 1
  local reply = redis.pcall(unpack(command))
  -- An error among the replies would become the reply of the whole script.
  if type(reply) == 'table' and reply.err then
    replies[#replies + 1] = { 0, reply.err }
  else
    replies[#replies + 1] = { 1, reply }
  end
end
return replies`;

/** Commands that are collected and sent together by {@link exec}. */
export class RedisTransaction {
  readonly #commands: Command[] = [];

  /** @internal */
  constructor(private readonly run: (commands: Command[]) => Promise<[Error | null, unknown][]>) {}

  /** @internal Runs commands as one, by a script: the connection is shared, so it cannot be in a transaction. */
  static async asOne(
    client: { call(command: string, ...args: RedisArgument[]): Promise<any> },
    commands: Command[],
  ): Promise<[Error | null, unknown][]> {
    if (commands.length === 0) return [];
    const keys = commands.map(([, key]) => key as RedisArgument);
    const words = commands.flatMap((command) => [command.length, ...command]);
    const replies = (await client.call('EVAL', AS_ONE, keys.length, ...keys, ...words)) as [number, any][];
    return replies.map(([isWell, reply]) => (isWell === 1 ? [null, reply] : [new Error(String(reply)), undefined]));
  }

  /** @internal A map of a reply. */
  static object(flat: string[]): Record<string, string> {
    const object: Record<string, string> = {};
    for (let at = 0; at + 1 < flat.length; at += 2) object[flat[at] as string] = flat[at + 1] as string;
    return object;
  }

  hgetall(key: string): this {
    return this.#add('HGETALL', key);
  }

  hset(key: string, data: Record<string, string | number>): this {
    return this.#add('HSET', key, ...Object.entries(data).flat());
  }

  hscan(key: string, cursor: string | number, options: { COUNT?: number } = {}): this {
    return this.#add('HSCAN', key, cursor, ...count(options.COUNT));
  }

  smembers(key: string): this {
    return this.#add('SMEMBERS', key);
  }

  sscan(key: string, cursor: string | number, options: { COUNT?: number } = {}): this {
    return this.#add('SSCAN', key, cursor, ...count(options.COUNT));
  }

  zrange(key: string, start: number, end: number): this {
    return this.#add('ZRANGE', key, start, end);
  }

  lrange(key: string, start: number, end: number): this {
    return this.#add('LRANGE', key, start, end);
  }

  llen(key: string): this {
    return this.#add('LLEN', key);
  }

  del(...keys: string[]): this {
    return this.#add('DEL', ...keys);
  }

  /** Refused: a script cannot run another. Call it by the client. */
  runCommand(name: string, _args: any[]): this {
    throw invalidArgument('name', `the script \`${name}\``, 'commands; scripts run by `client.runCommand`');
  }

  /** Sends the commands; a result for each, in order. Empty afterwards. */
  async exec(): Promise<[Error | null, any][]> {
    const commands = this.#commands.splice(0);
    const results = await this.run(commands);
    return results.map(([error, value], index) => [
      error,
      commands[index]?.[0] === 'HGETALL' && !error ? RedisTransaction.object(value as string[]) : value,
    ]);
  }

  #add(name: string, ...args: RedisArgument[]): this {
    this.#commands.push([name, ...args]);
    return this;
  }
}

const count = (many: number | undefined): (string | number)[] => (many === undefined ? [] : ['COUNT', many]);
