import type { RedisConfig } from './redis-config.js';

/** Options of a `RedisMonitoringService`. */
export interface RedisMonitoringOptions {
  /**
   * The server; or several, such as the primaries of a cluster, each of which is asked for itself: answers are sums, and tell of
   * each in `nodes`. List no replicas beside their primaries: their keys would count twice.
   */
  redis?: RedisConfig | readonly RedisConfig[];
  /** From where on `getHealth` alerts. */
  thresholds?: MonitoringThresholds;
}

/** From where on something is worth an alert. */
export interface MonitoringThresholds {
  /** Part of `maxmemory` that is used. Default 0.9; 0.01 to 1. */
  memory?: number;
  /** Part of `maxclients` that is connected. Default 0.9; 0.01 to 1. */
  clients?: number;
  /** Memory that the system gave by memory that is used, from 64 MiB on. Default 1.5; from 1. */
  fragmentation?: number;
  /** Milliseconds of a round trip. Default 100; 1 to 60,000. */
  latencyMs?: number;
  /** Part of lookups that find something, below which it is too low. Default 0: never; 0 to 1. */
  hitRate?: number;
}

/** Figures of one server, or of several together. */
export interface RedisServerInfo {
  /** Of several servers each version once. */
  version: string;
  /** Seconds; of several servers the shortest. */
  uptime: number;
  connectedClients: number;
  /** Bytes. */
  usedMemory: number;
  /** Bytes; 0 for no bound. */
  maxMemory: number;
  /** Memory that the system gave by memory that is used. */
  memoryFragmentation: number;
  totalCommandsProcessed: number;
  opsPerSecond: number;
  keyspaceHits: number;
  keyspaceMisses: number;
  /** Hits by all lookups in all databases, whoever made them: 0 to 1, 0 before the first. */
  hitRate: number;
  /** Names of the fields above that a server does not tell, and that are 0 therefore. */
  unavailable: string[];
}

export interface RedisInfo extends RedisServerInfo {
  nodes: (RedisServerInfo & { node: string })[];
}

/** What a database takes, on all servers or on one. */
export interface DatabaseMemoryFigures {
  keys: number;
  /** Keys that expire. */
  expires: number;
  /** Milliseconds on average until those expire; 0 where none do. */
  avgTTL: number;
  /** Bytes of keys and values: the mean of the measured keys, times their number. */
  memoryUsage: number;
  /** `memoryUsage` give or take this, with 95 % confidence. */
  margin: number;
  measuredKeys: number;
}

export interface DatabaseMemory extends DatabaseMemoryFigures {
  db: number;
  /** Always: no server tells what one database takes. */
  estimated: true;
  nodes: (DatabaseMemoryFigures & { node: string })[];
}

/** How `getMemoryUsage` estimates. */
export interface MemoryUsageOptions {
  /** Milliseconds after which what is known by then is the answer. Default 2,000; 10 to 600,000. */
  timeBudgetMs?: number;
  /** Keys that are measured in each database. Default 1,000; 10 to 1,000,000. */
  samples?: number;
  /** Ends it; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A command that took long. */
export interface SlowQuery {
  node: string;
  id: number;
  /** When it ran. */
  timestamp: Date;
  /** Milliseconds that it ran for, waiting not counted. */
  duration: number;
  command: string;
  /** As the server kept them: the first ones, shortened. They contain the names of keys, and values. */
  args: string[];
  /** Address of who sent it. */
  client: string;
  /** What that connection is called. */
  clientName: string;
}

/** How long a command takes, as the server measures it. */
export interface CommandLatency {
  /** In capitals: `GET`, `CONFIG SET`. */
  command: string;
  calls: number;
  /** Calls that ended in an error. */
  failed: number;
  /** Milliseconds. */
  averageMs: number;
  /** Milliseconds by percentile: `p50`, `p99` and `p99.9` unless the server is set to tell others. */
  percentiles: Record<string, number>;
}

/** Something that took a server longer than its `latency-monitor-threshold`. */
export interface LatencyEvent {
  node: string;
  event: string;
  timestamp: Date;
  latestMs: number;
  maxMs: number;
}

export interface RedisLatency {
  /**
   * Those first that took most of the time. Of several servers calls are sums, and a percentile is that of the server where
   * it is the highest.
   */
  commands: CommandLatency[];
  events: LatencyEvent[];
  nodes: { node: string; commands: CommandLatency[] }[];
  /** What not every server tells: `percentiles` (before Redis 7.0), `events`. */
  unavailable: ('percentiles' | 'events')[];
}

/** Codes of `getHealth`; they do not change. `docs/learning/monitoring.md` says what each means. */
export type RedisAlertCode =
  | 'REDIS_UNREACHABLE'
  | 'REDIS_LOADING'
  | 'REDIS_MEMORY_FULL'
  | 'REDIS_MEMORY_HIGH'
  | 'REDIS_FRAGMENTATION_HIGH'
  | 'REDIS_CLIENTS_HIGH'
  | 'REDIS_LATENCY_HIGH'
  | 'REDIS_HIT_RATE_LOW'
  | 'REDIS_PERSISTENCE_FAILING'
  | 'REDIS_SNAPSHOT_FAILING'
  | 'REDIS_REPLICATION_DOWN'
  | 'REDIS_CLUSTER_DOWN';

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

export interface RedisAlert {
  code: RedisAlertCode;
  status: HealthStatus;
  node: string;
  /** What was found, and from where on that is an alert; of alerts that are about a number. */
  value?: number;
  limit?: number;
  /** Of `REDIS_UNREACHABLE`: code of the error. */
  error?: string;
}

export interface RedisHealth {
  /** `degraded`: it works, but somebody should look. `unhealthy`: calls fail, or are about to. */
  status: HealthStatus;
  /** The codes that were found, each once. */
  alerts: RedisAlertCode[];
  details: RedisAlert[];
  /** `latencyMs` is that of a round trip; null where there was no answer. */
  nodes: { node: string; status: HealthStatus; latencyMs: number | null }[];
}

/** How `analyzeKeys` goes about it. */
export interface AnalyzeKeysOptions {
  /** Milliseconds after which what is known by then is the answer. Default 5,000; 10 to 600,000. */
  timeBudgetMs?: number;
  /** Keys whose type, size and time to live are asked for. Default 20,000; 0 to 10,000,000. */
  samples?: number;
  /** Patterns that are listed, the largest first. Default 100; 1 to 10,000. */
  maxPatterns?: number;
  /** Keys that are listed by size. Default 10; 0 to 1,000. */
  biggestKeys?: number;
  /** Ends it; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Keys whose names have one shape. */
export interface KeyPattern {
  /** `user:profile:{id}`; `{id}` stands for identifiers, and for words of which there are too many to be kinds, `{date}` for dates. */
  pattern: string;
  count: number;
  /** `count` give or take this, with 95 % confidence; 0 when every key was seen. */
  countMargin: number;
  /** Up to five. */
  sampleKeys: string[];
  /** Bytes of a key with its value on average; 0 when none was measured. */
  avgSize: number;
  /** `avgSize` give or take this, with 95 % confidence. */
  avgSizeMargin: number;
  /** Bytes of all of them. */
  totalSize: number;
  /** Keys that were measured. */
  measured: number;
}

/** A part of the keys; estimated from those that were measured. */
export interface KeyGroup<Name extends string> {
  name: Name;
  count: number;
  /** Bytes. */
  size: number;
}

export type KeyType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'other';
export type TtlGroup =
  | 'none'
  | 'below 1h'
  | '1h to 4h'
  | '4h to 12h'
  | '12h to 24h'
  | '1d to 7d'
  | '7d to 30d'
  | 'from 30d';

export interface BigKey {
  key: string;
  type: KeyType;
  /** Bytes. */
  size: number;
  /** Milliseconds until it expires; null for never. */
  ttl: number | null;
  node: string;
}

export interface KeyAnalysis {
  /** Keys that match; an estimate unless `complete`. */
  totalKeys: number;
  /** Bytes of all of them, estimated. */
  totalSize: number;
  /** The largest first. */
  patterns: KeyPattern[];
  /** Patterns beyond those that are listed, and their keys. */
  otherPatterns: { patterns: number; count: number };
  types: KeyGroup<KeyType>[];
  ttlGroups: KeyGroup<TtlGroup>[];
  /** The biggest of the measured keys. */
  biggestKeys: BigKey[];
  scannedKeys: number;
  measuredKeys: number;
  /** Every key was seen before the time was over. */
  complete: boolean;
  /** `level`: that of all margins. Parts of the keys that were seen, and of those that match, that were measured. */
  confidence: { level: number; scanned: number; measured: number };
  durationMs: number;
  nodes: { node: string; totalKeys: number; scannedKeys: number; measuredKeys: number; complete: boolean }[];
  /** `sizes`: a server refused to tell the size of some keys, or of all, such as by its access rules; those count without. */
  unavailable: 'sizes'[];
}
