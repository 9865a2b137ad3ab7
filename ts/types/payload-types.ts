/** How the data and results of jobs are stored. Queues, workers and services of one queue need the same. */
export interface PayloadOptions {
  /** Compresses payloads of `threshold` bytes (default 1024) or more by LZ4, where that makes them smaller. */
  compression?: { threshold?: number };
  encryption?: {
    /** Which of `keys` new payloads are encrypted with. */
    key: string;
    /** Keys by their ids (visible ASCII, at most 64 characters): 32 bytes each, as they are or as base64. All can be read with. */
    keys: Record<string, string | Uint8Array>;
  };
}
