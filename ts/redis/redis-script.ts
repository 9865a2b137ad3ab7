import { createHash } from 'node:crypto';
import { invalidArgument, type ReplyError } from '../errors.js';
import { plainValue, pushValues, wrongArgument } from './command-arguments.js';
import type { Key, RedisArgument, RedisBufferReply, RedisReply } from './command-types.js';

/** What a script is. */
export interface ScriptDefinition {
  /** Its text. */
  lua: string;
  /** How many keys it takes; a call with another number is refused. Default: as many as it is given. */
  numberOfKeys?: number;
  /** It only reads (`EVAL_RO`): sent again by itself when a connection breaks. Default false. */
  readOnly?: boolean;
}

/** Sends a command by its name. */
type Send = (command: string, args: RedisArgument[], asBuffers: boolean) => Promise<any>;

/**
 * A script that the server keeps: a call sends its digest only (`EVALSHA`). A server that does not have it, because it was
 * restarted or flushed, is sent the text once more.
 */
export class RedisScript {
  /** SHA-1 of the text, by which the server knows it. */
  readonly sha: string;
  readonly #definition: ScriptDefinition;
  readonly #send: Send;

  /** @internal Made by `RedisService.defineScript()`. */
  constructor(definition: ScriptDefinition, send: Send) {
    const { lua, numberOfKeys, readOnly } = definition ?? {};
    if (typeof lua !== 'string' || lua === '') throw wrongArgument('lua', lua, 'the text of a script');
    if (numberOfKeys !== undefined && !(Number.isInteger(numberOfKeys) && numberOfKeys >= 0)) {
      throw wrongArgument('numberOfKeys', numberOfKeys, 'a whole number, 0 or more');
    }
    if (readOnly !== undefined && typeof readOnly !== 'boolean') throw wrongArgument('readOnly', readOnly, 'a boolean');
    this.#definition = { ...definition };
    this.#send = send;
    this.sha = createHash('sha1').update(lua).digest('hex');
  }

  /**
   * Runs the script with keys, which get the `keyPrefix`, and arguments.
   *
   * @throws `ERR_REPLY` with what the script raised, and the errors of any command.
   */
  run(keys: readonly Key[] = [], args: readonly RedisArgument[] = []): Promise<RedisReply> {
    return this.#run(keys, args, false);
  }

  /** The same; strings of the reply are Buffers. */
  runBuffer(keys: readonly Key[] = [], args: readonly RedisArgument[] = []): Promise<RedisBufferReply> {
    return this.#run(keys, args, true);
  }

  async #run(keys: readonly Key[], args: readonly RedisArgument[], asBuffers: boolean): Promise<any> {
    const { lua, numberOfKeys, readOnly } = this.#definition;
    if (!Array.isArray(keys)) throw wrongArgument('keys', keys, 'a list of keys');
    if (!Array.isArray(args)) throw wrongArgument('args', args, 'a list of arguments');
    if (numberOfKeys !== undefined && keys.length !== numberOfKeys) {
      throw invalidArgument('keys', `a list of ${keys.length}`, `a list of ${numberOfKeys}`);
    }
    const tail: RedisArgument[] = [keys.length];
    for (const key of keys) tail.push(plainValue('keys', key) as RedisArgument);
    pushValues(tail, 'args', args);
    const [bySha, byText] = readOnly ? ['EVALSHA_RO', 'EVAL_RO'] : ['EVALSHA', 'EVAL'];
    try {
      return await this.#send(bySha, [this.sha, ...tail], asBuffers);
    } catch (error) {
      if ((error as ReplyError).details?.['reply'] !== 'NOSCRIPT') throw error;
      return await this.#send(byText, [lua, ...tail], asBuffers);
    }
  }
}
