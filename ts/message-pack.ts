/**
 * MessagePack for values and messages: the types of the specification, and as extensions those of JavaScript that JSON
 * loses. Other clients read all but the extensions.
 *
 * Extensions: -1 a `Date` (the specification's timestamp); 1 undefined; 2 a `BigInt` in digits; 3 a `Map` and 4 a `Set`, each
 * holding an encoded array; 5 a typed array: one byte that says which, then its bytes; 6 an invalid `Date`.
 */

const UNDEFINED = 1;
const BIG_INT = 2;
const MAP = 3;
const SET = 4;
const TYPED_ARRAY = 5;
const INVALID_DATE = 6;
const TIMESTAMP = -1;

/** Deeper values are taken for ones that contain themselves. */
const DEEPEST = 500;

/** In the order of their numbers, which are stored. */
const ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

/** The bytes of a value. Throws an `Error` that says where the value has what cannot be stored. */
export function packMessage(value: unknown): Buffer {
  const writer = new Writer();
  writer.value(value, 'the value', 0);
  return writer.bytes();
}

/** The value of bytes. Throws an `Error` for bytes that are no MessagePack, or more than one value. */
export function unpackMessage(bytes: Buffer): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new Error('bytes follow the value');
  return value;
}

class Writer {
  #buffer = Buffer.allocUnsafe(1024);
  #at = 0;

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  value(value: unknown, path: string, depth: number): void {
    if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (value === null) this.#byte(0xc0);
    else if (value === undefined) this.#extension(UNDEFINED, Buffer.of(0));
    else if (typeof value === 'bigint') this.#extension(BIG_INT, Buffer.from(value.toString(), 'latin1'));
    else if (typeof value !== 'object') throw new Error(`${path} is a ${typeof value}`);
    else if (depth > DEEPEST) throw new Error(`${path.slice(0, 100)}… is nested too deep, or contains itself`);
    else this.#object(value, path, depth + 1);
  }

  #object(value: object, path: string, depth: number): void {
    if (Array.isArray(value)) {
      this.#head(value.length, 0x90, 15, 0xdc);
      for (let index = 0; index < value.length; index++) this.value(value[index], `${path}[${index}]`, depth);
    } else if (Buffer.isBuffer(value)) {
      this.#binary(value);
    } else if (value instanceof Date) {
      this.#date(value);
    } else if (value instanceof Map) {
      this.#nested(MAP, [...value].flat(), `${path} (Map)`, depth);
    } else if (value instanceof Set) {
      this.#nested(SET, [...value], `${path} (Set)`, depth);
    } else if (ArrayBuffer.isView(value)) {
      this.#typedArray(value, path);
    } else if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
      this.value((value as { toJSON(): unknown }).toJSON(), path, depth);
    } else if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) {
      throw new Error(`${path} is a ${value.constructor.name}`);
    } else {
      const names = Object.keys(value);
      this.#head(names.length, 0x80, 15, 0xde);
      for (const name of names) {
        this.#string(name);
        this.value((value as Record<string, unknown>)[name], `${path}.${name}`, depth);
      }
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      const at = this.#room(9);
      this.#buffer[at] = 0xcb;
      this.#buffer.writeDoubleBE(value, at + 1);
    } else if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value <= 0xffffffff) this.#sized(value, [0xcc, 0xcd, 0xce]);
      else this.#wide(0xcf, BigInt(value));
    } else if (value >= -32) this.#byte(value + 0x100);
    else if (value >= -0x80) this.#integer(0xd0, 1, value);
    else if (value >= -0x8000) this.#integer(0xd1, 2, value);
    else if (value >= -0x80000000) this.#integer(0xd2, 4, value);
    else this.#wide(0xd3, BigInt.asUintN(64, BigInt(value)));
  }

  #wide(code: number, value: bigint): void {
    const at = this.#room(9);
    this.#buffer[at] = code;
    this.#buffer.writeBigUInt64BE(value, at + 1);
  }

  #string(value: string): void {
    const length = Buffer.byteLength(value);
    if (length < 32) this.#byte(0xa0 | length);
    else this.#sized(length, [0xd9, 0xda, 0xdb]);
    const at = this.#room(length);
    this.#buffer.write(value, at, length, 'utf8');
  }

  #binary(value: Uint8Array): void {
    this.#sized(value.length, [0xc4, 0xc5, 0xc6]);
    this.#append(value);
  }

  #date(value: Date): void {
    const milliseconds = value.getTime();
    if (Number.isNaN(milliseconds)) {
      this.#extension(INVALID_DATE, Buffer.of(0));
      return;
    }
    const seconds = Math.floor(milliseconds / 1000);
    const bytes = Buffer.allocUnsafe(12);
    bytes.writeUInt32BE((milliseconds - seconds * 1000) * 1_000_000, 0);
    bytes.writeBigInt64BE(BigInt(seconds), 4);
    this.#extension(TIMESTAMP, bytes);
  }

  #typedArray(value: ArrayBufferView, path: string): void {
    const number = ARRAYS.findIndex((type) => value instanceof type);
    if (number < 0) throw new Error(`${path} is a ${value.constructor.name}`);
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.#extension(TYPED_ARRAY, Buffer.concat([Buffer.of(number), bytes]));
  }

  #nested(type: number, items: readonly unknown[], path: string, depth: number): void {
    const inner = new Writer();
    inner.value(items, path, depth);
    this.#extension(type, inner.bytes());
  }

  #extension(type: number, content: Uint8Array): void {
    this.#sized(content.length, [0xc7, 0xc8, 0xc9]);
    this.#byte(type & 0xff);
    this.#append(content);
  }

  /** The head of an array or map. */
  #head(length: number, fixed: number, most: number, code: number): void {
    if (length <= most) this.#byte(fixed | length);
    else if (length <= 0xffff) this.#integer(code, 2, length);
    else this.#integer(code + 1, 4, length);
  }

  /** A number without sign after the code of its size. */
  #sized(value: number, codes: readonly [number, number, number]): void {
    if (value <= 0xff) this.#integer(codes[0], 1, value);
    else if (value <= 0xffff) this.#integer(codes[1], 2, value);
    else this.#integer(codes[2], 4, value);
  }

  #byte(value: number): void {
    const at = this.#room(1);
    this.#buffer[at] = value;
  }

  /** A code, and a number of 1, 2 or 4 bytes. */
  #integer(code: number, size: number, value: number): void {
    // Making room may replace the buffer, so it comes first.
    const at = this.#room(1 + size);
    this.#buffer[at] = code;
    if (value < 0) this.#buffer.writeIntBE(value, at + 1, size);
    else this.#buffer.writeUIntBE(value, at + 1, size);
  }

  #append(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
  }

  #room(size: number): number {
    const at = this.#at;
    this.#at += size;
    if (this.#at > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#at, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}

class Reader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(depth: number): unknown {
    if (depth > DEEPEST * 2) throw new Error('nested too deep');
    const code = this.#unsigned(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.#map(code & 15, depth);
    if (code < 0xa0) return this.#array(code & 15, depth);
    if (code < 0xc0) return this.#string(code & 31);
    if (code >= 0xe0) return code - 0x100;
    return this.#coded(code, depth);
  }

  #coded(code: number, depth: number): unknown {
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return Buffer.from(this.#take(this.#unsigned(1 << (code - 0xc4))));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(this.#unsigned(1 << (code - 0xc7)), depth);
      case 0xca:
        return this.#take(4).readFloatBE();
      case 0xcb:
        return this.#take(8).readDoubleBE();
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(1 << (code - 0xcc));
      case 0xcf:
        return narrow(this.#take(8).readBigUInt64BE());
      case 0xd0:
      case 0xd1:
      case 0xd2: {
        const size = 1 << (code - 0xd0);
        return this.#take(size).readIntBE(0, size);
      }
      case 0xd3:
        return narrow(this.#take(8).readBigInt64BE());
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (code - 0xd4), depth);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#string(this.#unsigned(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(code === 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(code === 0xde ? 2 : 4), depth);
      default:
        throw new Error(`no value begins with the byte ${code}`);
    }
  }

  #extension(length: number, depth: number): unknown {
    const type = this.#take(1).readInt8();
    const content = this.#take(length);
    switch (type) {
      case TIMESTAMP:
        return timestamp(content);
      case UNDEFINED:
        return undefined;
      case BIG_INT:
        return BigInt(content.toString('latin1'));
      case MAP: {
        const items = itemsOf(content, depth);
        const map = new Map<unknown, unknown>();
        for (let index = 0; index + 1 < items.length; index += 2) map.set(items[index], items[index + 1]);
        return map;
      }
      case SET:
        return new Set(itemsOf(content, depth));
      case TYPED_ARRAY:
        return typedArray(content);
      case INVALID_DATE:
        return new Date(Number.NaN);
      default:
        throw new Error(`the extension ${type} is unknown`);
    }
  }

  #array(length: number, depth: number): unknown[] {
    // Every item takes a byte, so a length that is a lie is found before room is made for it.
    this.#check(length);
    const items = new Array<unknown>(length);
    for (let index = 0; index < length; index++) items[index] = this.value(depth + 1);
    return items;
  }

  #map(length: number, depth: number): Record<string, unknown> {
    this.#check(length);
    const object: Record<string, unknown> = {};
    for (let index = 0; index < length; index++) {
      const name = this.value(depth + 1);
      if (typeof name !== 'string' && typeof name !== 'number') throw new Error('a name in an object is no text');
      const value = this.value(depth + 1);
      if (name === '__proto__') {
        Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
      } else object[name] = value;
    }
    return object;
  }

  #string(length: number): string {
    this.#check(length);
    const text = this.#bytes.toString('utf8', this.at, this.at + length);
    this.at += length;
    return text;
  }

  #unsigned(size: number): number {
    return this.#take(size).readUIntBE(0, size);
  }

  #take(size: number): Buffer {
    this.#check(size);
    const taken = this.#bytes.subarray(this.at, this.at + size);
    this.at += size;
    return taken;
  }

  #check(size: number): void {
    if (size > this.#bytes.length - this.at) throw new Error('the bytes end too early');
  }
}

function itemsOf(content: Buffer, depth: number): unknown[] {
  const reader = new Reader(content);
  const items = reader.value(depth + 1);
  if (!Array.isArray(items) || reader.at !== content.length) throw new Error('a Map or Set holds no list');
  return items;
}

/** A `number` where it is exact. */
function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function timestamp(content: Buffer): Date {
  if (content.length === 4) return new Date(content.readUInt32BE() * 1000);
  if (content.length === 8) {
    const both = content.readBigUInt64BE();
    return new Date(Number(both & 0x3ffffffffn) * 1000 + Number(both >> 34n) / 1e6);
  }
  if (content.length !== 12) throw new Error('a timestamp has a wrong size');
  return new Date(Number(content.readBigInt64BE(4)) * 1000 + Math.floor(content.readUInt32BE() / 1e6));
}

function typedArray(content: Buffer): unknown {
  const type = ARRAYS[content[0] ?? -1];
  if (type === undefined || (content.length - 1) % type.BYTES_PER_ELEMENT !== 0) {
    throw new Error('a typed array has an unknown type or a wrong size');
  }
  // A buffer of its own: arrays of wide elements must begin at a multiple of their size.
  const own = new Uint8Array(content.subarray(1)).buffer;
  return new type(own);
}
