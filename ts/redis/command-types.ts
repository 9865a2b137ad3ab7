/** What a command takes: text, numbers (sent as their decimal text) and bytes. */
export type RedisArgument = string | number | bigint | Uint8Array;

/** The name of a key. */
export type Key = string | Uint8Array;

/** What `call` answers: shapes of RESP2, whatever the connection speaks. */
export type RedisReply = string | number | null | Error | RedisReply[];

/** The same with `Buffer`s in place of strings. */
export type RedisBufferReply = Buffer | number | null | Error | RedisBufferReply[];

/** An entry of a stream: its id, and names and values in turn. */
export type StreamEntry<Text = string> = [id: Text, fields: Text[]];

/** When and how `set` writes. */
export interface SetOptions {
  /** Seconds to live; the same as `ex`. */
  ttl?: number;
  /** Seconds to live. */
  ex?: number;
  /** Milliseconds to live. */
  px?: number;
  /** Time of death, in seconds since 1970. */
  exat?: number;
  /** Time of death, in milliseconds since 1970. */
  pxat?: number;
  /** Keep the time to live that the key has. */
  keepTtl?: boolean;
  /** Only when the key does not exist. */
  nx?: boolean;
  /** Only when the key exists. */
  xx?: boolean;
  /** Answer the value that the key had, `null` without one, in place of `OK`. */
  get?: boolean;
}

/** Which elements a walk through keys or through a collection gives. */
export interface ScanOptions {
  /** Only names that match this pattern. */
  match?: string;
  /** How many elements the server looks at in one step. Default 100. */
  count?: number;
}

/** The same for keys. */
export interface ScanKeysOptions extends ScanOptions {
  /** Only keys of this type: `string`, `list`, `set`, `zset`, `hash`, `stream`. */
  type?: string;
}
