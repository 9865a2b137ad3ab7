// The only file that imports the native core. It collects the calls of a turn of the event loop, hands them over in one
// native call, and gives the answers to those who wait. The native half is `src/node/door/`.

import { NativeDoor } from '../native.js';
import { createError, type ErrorCode, type ErrorDetails, invalidArgument, type OxcartError } from './errors.js';
import { nextTick, nextTurn } from './system-time.js';

/** What a call can carry. Numbers travel as their decimal text, booleans as `1` and `0`. */
export type Argument = string | number | bigint | boolean | Uint8Array | null | undefined;

/** Makes what the caller gets of the answer. */
export type Decode = (value: any) => unknown;

/** Takes an event of a target. `values` is the listener's to keep. */
export type Listener = (event: number, a: number, b: number, values: unknown[]) => void;

/** An error as the native core tells it. */
export interface ErrorReport {
  code?: ErrorCode;
  message: string;
  retryable?: boolean;
  details?: ErrorDetails;
  cause?: ErrorReport;
}

/**
 * Takes the outcome of a call that is not a promise of its own, such as a command of a pipeline. There are many of them, so
 * it is all that the door keeps of such a call.
 */
export interface Receiver {
  /** Itself. */
  readonly receiver: Receiver;
  settled(value: unknown): void;
  /** `error` is made when it is called, so that it can be called where the waiting caller is in the stack. */
  failed(error: () => unknown): void;
}

/** `OXCART_LONG_STACKS=1`: every call notes where it was made, at several times its cost. */
const longStacks = process.env['OXCART_LONG_STACKS'] === '1';

/** Calls of one submission, and arguments after which it goes out at once. */
const MOST_OPS = 1_024;
const MOST_ARGUMENTS = 4_096;
const MOST_BYTES = 1 << 20;
/** More arguments than this travel in one buffer: they share the stack with everything else. */
const MOST_LOOSE_ARGUMENTS = 1_024;

/** Bounds of what the native core holds for one thread. Beyond, calls wait here. */
const IN_FLIGHT = { calls: 65_536, bytes: 256 << 20 };
/** Bounds of what waits here. Beyond, calls are refused. */
const WAITING = { calls: 1_000_000, bytes: 512 << 20 };

const MOST_RECORDS = 4_096;
const STRIDE = 4;
const PACKED = -1;
const ABSENT = 0xffff_ffff;

/** How a record is read: `Kind` of `src/node/door/completions.rs`. */
const UNDEFINED = 0;
const NULL = 1;
const TRUE = 2;
const FALSE = 3;
const INT = 4;
const OK = 5;
const VALUE = 6;
const JSON_TEXT = 7;
const LIST = 8;
const ERROR = 9;
const EVENT = 10;

/**
 * Whether the native core may watch sockets in the event loop of this thread. Other runtimes have the functions of libuv,
 * and end the process when one is called. `OXCART_FAST_PATH=0`: all answers come from the I/O thread.
 */
const mayRead =
  process.env['OXCART_FAST_PATH'] !== '0' && !('bun' in process.versions) && !('deno' in process.versions);

type Resolve = (value: unknown) => void;

interface Waiting {
  target: number;
  code: number;
  args: readonly Argument[];
  bytes: number;
  resolve: Resolve;
  other: Other | undefined;
}

/** What the few calls have that are more than a promise for a value. */
interface Other {
  decode?: Decode | undefined;
  receiver?: Receiver | undefined;
  stack?: Error | undefined;
}

/** Stands where a promise's function does, for calls that have a receiver. */
const toReceiver = (): void => {};

// One function for all promises: a closure for each would be garbage for each.
let captured: Resolve;
const capture = (resolve: Resolve): void => {
  captured = resolve;
};

/** Calls to, and events from, the native core: one door for each thread. */
export class Door {
  /** For the constructors of `Native*` classes. */
  readonly native: NativeDoor;
  readonly #functions: ReturnType<NativeDoor['functions']>;
  /** Clocks of tests that follow another one. */
  readonly followers = new Set<() => void>();

  readonly #ops = new Int32Array(STRIDE * (MOST_OPS + 1));
  readonly #records = new Int32Array(STRIDE * (MOST_RECORDS + 1));

  // The submission that is being collected.
  #count = 0;
  #args: unknown[] = [];
  #bytes = 0;
  #scheduled = false;

  // Calls in flight, by slot. A free slot names the next free one.
  #resolvers: (Resolve | undefined)[] = [];
  #others: (Other | undefined)[] = [];
  #sizes = new Int32Array(0);
  #nextFree = new Int32Array(0);
  #free = 0;
  #inFlight = 0;
  #bytesInFlight = 0;
  #traffic = 0;

  readonly #waiting: Waiting[] = [];
  #waitingFrom = 0;
  #bytesWaiting = 0;

  readonly #listeners = new Map<number, Listener>();
  readonly #holds = new Map<number, number>();
  #referenced = false;

  constructor() {
    const resume = () => nextTurn(this.#drain);
    this.native = new NativeDoor(this.#ops, this.#records, this.#deliver, resume, errorFromJson, mayRead);
    this.#functions = this.native.functions();
    this.#grow(1_024);
  }

  /**
   * Calls `code` of a target. Byte arguments are read when the turn of the event loop ends: do not change them before the
   * promise settles. Calls reach their target in the order in which they were made.
   */
  call(target: number, code: number, args: readonly Argument[], decode?: Decode): Promise<any> {
    const promise = new Promise<unknown>(capture);
    const resolve = captured;
    const other = decode !== undefined || longStacks ? { decode, stack: longStacks ? trace() : undefined } : undefined;
    this.#start(target, code, args, resolve, other);
    return promise;
  }

  /** The same for an outcome that goes to a receiver. */
  callFor(receiver: Receiver, target: number, code: number, args: readonly Argument[]): void {
    this.#start(target, code, args, toReceiver, receiver);
  }

  /** Takes the events of a target, in place of an earlier listener. */
  listen(target: number, listener: Listener): void {
    this.#listeners.set(target, listener);
  }

  unlisten(target: number): void {
    this.#listeners.delete(target);
  }

  /** Keeps the process from ending by itself until {@link release}, as an open subscription or a running worker does. */
  hold(target: number): void {
    this.#holds.set(target, (this.#holds.get(target) ?? 0) + 1);
    this.#reference();
  }

  /** Takes back one {@link hold} of the target, if it has any. */
  release(target: number): void {
    const holds = this.#holds.get(target) ?? 0;
    if (holds > 1) this.#holds.set(target, holds - 1);
    else this.#holds.delete(target);
    this.#reference();
  }

  /** Lets those clocks catch up: before calls are sent, and before one is looked at. */
  follow(): void {
    for (const follower of this.followers) follower();
  }

  /** Calls that were sent, and answers and events that came. */
  get traffic(): number {
    return this.#traffic;
  }

  /** How many calls wait for an answer. */
  get pending(): number {
    return this.#inFlight + this.#waiting.length - this.#waitingFrom;
  }

  #start(target: number, code: number, args: readonly Argument[], resolve: Resolve, other: Other | undefined): void {
    let bytes = 0;
    for (let index = 0; index < args.length; index++) {
      const arg = args[index];
      if (typeof arg === 'string') bytes += arg.length;
      else if (typeof arg === 'object' && arg !== null) bytes += arg.byteLength;
    }
    if (
      this.#waiting.length > 0 ||
      this.#inFlight >= IN_FLIGHT.calls ||
      (this.#bytesInFlight + bytes > IN_FLIGHT.bytes && this.#inFlight > 0)
    ) {
      this.#wait({ target, code, args, bytes, resolve, other });
    } else {
      this.#push(target, code, args, bytes, resolve, other);
    }
  }

  #push(
    target: number,
    code: number,
    args: readonly Argument[],
    bytes: number,
    resolve: Resolve,
    other: Other | undefined,
  ): void {
    const list = this.#args;
    let argc = args.length;
    if (argc > MOST_LOOSE_ARGUMENTS) {
      try {
        list.push(pack(args));
      } catch (error) {
        this.#refuse(resolve, other, error);
        return;
      }
      argc = PACKED;
    } else {
      const start = list.length;
      for (let index = 0; index < argc; index++) {
        const arg = args[index];
        if (typeof arg === 'string') {
          list.push(arg);
        } else {
          try {
            list.push(plain(arg, index));
          } catch (error) {
            list.length = start;
            this.#refuse(resolve, other, error);
            return;
          }
        }
      }
    }

    if (this.#free === -1) this.#grow(this.#nextFree.length * 2);
    const slot = this.#free;
    this.#free = this.#nextFree[slot]!;
    this.#resolvers[slot] = resolve;
    if (other !== undefined) this.#others[slot] = other;
    this.#sizes[slot] = bytes;
    this.#bytesInFlight += bytes;

    const at = STRIDE * ++this.#count;
    const ops = this.#ops;
    ops[at] = target;
    ops[at + 1] = code;
    ops[at + 2] = slot;
    ops[at + 3] = argc;

    const idle = this.#inFlight++ === 0;
    if (idle) this.#reference();
    this.#bytes += bytes;
    if (this.#count === MOST_OPS || list.length >= MOST_ARGUMENTS || this.#bytes >= MOST_BYTES) {
      this.#flush();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      // With nothing in flight latency counts; otherwise wait for what the other callbacks of this turn ask for.
      if (idle) nextTick(this.#scheduledFlush);
      else nextTurn(this.#scheduledFlush);
    }
  }

  readonly #scheduledFlush = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  #flush(): void {
    const count = this.#count;
    if (count === 0) return;
    if (this.followers.size > 0) this.follow();
    this.#traffic += count;
    const args = this.#args;
    this.#ops[0] = count;
    this.#ops[1] = args.length;
    this.#count = 0;
    this.#bytes = 0;
    this.#args = [];
    this.#functions.submit(...args);
  }

  #wait(call: Waiting): void {
    const calls = this.#waiting.length - this.#waitingFrom;
    if (calls >= WAITING.calls || this.#bytesWaiting + call.bytes > WAITING.bytes) {
      const limit = calls >= WAITING.calls ? `${WAITING.calls} calls` : `${WAITING.bytes} bytes of calls`;
      const message = `${limit} already wait on this thread`;
      this.#refuse(call.resolve, call.other, createError({ code: 'ERR_OVERLOADED', message, retryable: true }));
      return;
    }
    this.#bytesWaiting += call.bytes;
    this.#waiting.push(call);
  }

  /** Lets waiting calls in while there is room. */
  #admit(): void {
    const waiting = this.#waiting;
    while (
      this.#waitingFrom < waiting.length &&
      this.#inFlight < IN_FLIGHT.calls &&
      (this.#inFlight === 0 || this.#bytesInFlight + waiting[this.#waitingFrom]!.bytes <= IN_FLIGHT.bytes)
    ) {
      const { target, code, args, bytes, resolve, other } = waiting[this.#waitingFrom]!;
      (waiting as unknown[])[this.#waitingFrom++] = undefined;
      this.#bytesWaiting -= bytes;
      this.#push(target, code, args, bytes, resolve, other);
    }
    if (this.#waitingFrom === waiting.length) {
      waiting.length = 0;
      this.#waitingFrom = 0;
    } else if (this.#waitingFrom > 65_536) {
      waiting.splice(0, this.#waitingFrom);
      this.#waitingFrom = 0;
    }
  }

  /** The outcome of a call that goes no further: the error was made where the caller is. */
  #refuse(resolve: Resolve, other: Other | undefined, error: unknown): void {
    if (other?.receiver) other.receiver.failed(() => error);
    else resolve(Promise.reject(error));
  }

  /** Answers and events, called by the native core; `#records` says what the values are. */
  readonly #deliver = (...values: unknown[]): void => {
    const records = this.#records;
    const end = STRIDE * (records[0]! + 1);
    this.#traffic += records[0]!;
    let next = 0;
    for (let at = STRIDE; at < end; at += STRIDE) {
      const head = records[at]!;
      const kind = head >>> 24;
      const slot = head & 0xff_ffff;
      if (kind === EVENT) {
        const first = records[at + 1]!;
        const count = first >>> 16;
        this.#emit(slot, first & 0xffff, records[at + 2]!, records[at + 3]!, values.slice(next, next + count));
        next += count;
        continue;
      }
      let value: unknown;
      switch (kind) {
        case VALUE:
        case JSON_TEXT:
        case ERROR:
          value = values[next++];
          break;
        case INT:
          value = records[at + 1];
          break;
        case OK:
          value = 'OK';
          break;
        case NULL:
          value = null;
          break;
        case TRUE:
          value = true;
          break;
        case FALSE:
          value = false;
          break;
        case LIST: {
          const count = records[at + 1]!;
          value = values.slice(next, next + count);
          next += count;
          break;
        }
        case UNDEFINED:
          break;
      }
      const resolve = this.#resolvers[slot];
      if (resolve === undefined) continue;
      const other = this.#others[slot];
      this.#resolvers[slot] = undefined;
      this.#bytesInFlight -= this.#sizes[slot]!;
      this.#nextFree[slot] = this.#free;
      this.#free = slot;
      this.#inFlight--;
      if (other !== undefined) this.#others[slot] = undefined;
      if (other?.receiver !== undefined && kind !== ERROR) {
        other.receiver.settled(kind === JSON_TEXT ? JSON.parse(value as string) : value);
      } else if (kind === ERROR) {
        const report = JSON.parse(value as string) as ErrorReport;
        if (other?.receiver) other.receiver.failed(() => makeError(report));
        else settleWith(resolve, () => throwing(makeError(report, other?.stack)));
      } else if (other?.decode || kind === JSON_TEXT) {
        try {
          if (kind === JSON_TEXT) value = JSON.parse(value as string);
          if (other?.decode) value = other.decode(value);
          resolve(value);
        } catch (error) {
          settleWith(resolve, () => throwing(error));
        }
      } else {
        resolve(value);
      }
    }
    if (this.#waiting.length > 0) this.#admit();
    if (this.#inFlight === 0) this.#reference();
  };

  readonly #drain = (): void => this.#functions.drain();

  #emit(target: number, event: number, a: number, b: number, values: unknown[]): void {
    const listener = this.#listeners.get(target);
    if (listener === undefined) return;
    try {
      listener(event, a, b, values);
    } catch (error) {
      // Its fault, not that of the calls whose answers come after this event.
      nextTick(() => throwing(error));
    }
  }

  /** Keeps the event loop running exactly while somebody waits for something. */
  #reference(): void {
    const wanted = this.#inFlight > 0 || this.#holds.size > 0;
    if (wanted === this.#referenced) return;
    this.#referenced = wanted;
    if (wanted) this.#functions.ref();
    else this.#functions.unref();
  }

  #grow(to: number): void {
    const from = this.#nextFree.length;
    const [nextFree, sizes] = [new Int32Array(to), new Int32Array(to)];
    nextFree.set(this.#nextFree);
    sizes.set(this.#sizes);
    for (let slot = from; slot < to; slot++) {
      nextFree[slot] = slot + 1;
      this.#resolvers.push(undefined);
      this.#others.push(undefined);
    }
    nextFree[to - 1] = -1;
    this.#free = from;
    this.#nextFree = nextFree;
    this.#sizes = sizes;
  }
}

/** An argument that is not a string, as the native core takes it. */
function plain(arg: Exclude<Argument, string>, index: number): string | Uint8Array | null | undefined {
  switch (typeof arg) {
    case 'number':
      if (Number.isNaN(arg)) throw invalidArgument(String(index + 1), 'NaN', 'a number');
      return String(arg);
    case 'bigint':
      return String(arg);
    case 'boolean':
      return arg ? '1' : '0';
    case 'undefined':
      return arg;
    case 'object':
      if (arg === null || ArrayBuffer.isView(arg)) return arg;
  }
  const got = Array.isArray(arg) ? 'an array' : typeof arg === 'object' ? 'an object' : `a ${typeof arg}`;
  throw invalidArgument(String(index + 1), got, 'a string, a number or a Uint8Array');
}

/** Many arguments in one buffer: their number, then the length and the bytes of each. */
function pack(args: readonly Argument[]): Buffer {
  const items = new Array<string | Uint8Array | null | undefined>(args.length);
  let size = 4;
  for (let index = 0; index < args.length; index++) {
    const arg = args[index];
    const item = typeof arg === 'string' ? arg : plain(arg, index);
    items[index] = item;
    size += 4 + (item == null ? 0 : typeof item === 'string' ? Buffer.byteLength(item) : item.byteLength);
  }
  const buffer = Buffer.allocUnsafe(size);
  buffer.writeUInt32LE(items.length, 0);
  let at = 4;
  for (const item of items) {
    if (item == null) {
      buffer.writeUInt32LE(ABSENT, at);
      at += 4;
      continue;
    }
    let length = 0;
    if (typeof item === 'string') {
      length = buffer.write(item, at + 4);
    } else {
      length = item.byteLength;
      buffer.set(bytesOf(item), at + 4);
    }
    buffer.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return buffer;
}

function bytesOf(view: Uint8Array): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * Settles a promise with what `make` returns or throws, run where the stack of an error shows who awaits the promise.
 *
 * V8 finds async frames by following promises from the microtask that is running. The delivery of an answer is none, so an
 * error made there would show nothing of the caller. Here a reaction of our own, whose result the promise follows, makes
 * it: `at async` frames of the caller appear, and calls that succeed pay nothing for it.
 */
export function settleWith(resolve: (value: any) => void, make: () => unknown): void {
  let start!: () => void;
  const gate = new Promise<void>((ready) => {
    start = ready;
  });
  // In this order: the promise must follow the reaction before the reaction runs.
  resolve(gate.then(make));
  start();
}

function throwing(error: unknown): never {
  throw error;
}

/** The error as an instance of its class. */
export function makeError(report: ErrorReport, stack?: Error): OxcartError {
  const { code, message, retryable, details, cause } = report;
  const error = createError({
    code: code ?? 'ERR_INTERNAL',
    message,
    retryable: retryable ?? false,
    details: details ?? {},
    cause: cause && (cause.code ? makeError(cause) : makePlainError(cause)),
  });
  // Frames of the machinery that made it tell nobody anything.
  Error.captureStackTrace(error, makeError);
  if (stack?.stack) error.stack += stack.stack.slice(stack.stack.indexOf('\n'));
  return error;
}

/** The error that JSON text of the native core tells of. */
export function errorFromJson(json: string): OxcartError {
  return makeError(JSON.parse(json) as ErrorReport);
}

function makePlainError({ message, cause }: ErrorReport): Error {
  const error = new Error(message, cause && { cause: makePlainError(cause) });
  error.stack = `Error: ${message}`;
  return error;
}

function trace(): Error {
  const stack = new Error('called');
  Error.captureStackTrace(stack, Door.prototype.call);
  return stack;
}

/** The door of this thread. */
export const door = new Door();

export * from '../native.js';
