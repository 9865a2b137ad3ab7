// Which data and result belong to which job name.

import type { Job } from './job.js';

/**
 * The jobs of a queue from a map of names to data and result: `Queue<JobsOf<{ email: { data: Email; result: Sent } }>>`
 * takes for each name its data only, and gives jobs that are told apart by their name.
 */
export type JobsOf<Map extends Record<string, { data: unknown; result?: unknown }>> = {
  [Name in keyof Map & string]: Job<Map[Name]['data'], Map[Name] extends { result: infer Result } ? Result : any, Name>;
}[keyof Map & string];

type IsAny<T> = 0 extends 1 & T ? true : false;
export type ExtractDataType<T, Default> =
  IsAny<T> extends true ? Default : T extends Job<infer D, any, any> ? D : Default;
export type ExtractResultType<T, Default> =
  IsAny<T> extends true ? Default : T extends Job<any, infer R, any> ? R : Default;
export type ExtractNameType<T, Default extends string> =
  IsAny<T> extends true ? Default : T extends Job<any, any, infer N> ? N : Default;

/** The jobs of a queue that was told jobs, else those of its data, result and name. */
export type JobBase<T, Data, Result, Name extends string> =
  IsAny<T> extends true
    ? Job<Data, Result, Name>
    : T extends infer Own extends Job<any, any, any, any>
      ? Own
      : Job<Data, Result, Name>;

/** The job of one name. */
export type JobNamed<T, Data, Result, All extends string, Name extends All> =
  IsAny<T> extends true
    ? Job<Data, Result, All>
    : T extends infer Own extends Job<any, any, any, any>
      ? Name extends Own['name']
        ? Own
        : never
      : Job<Data, Result, All>;

/** The data of one name. */
export type DataNamed<T, Data, Name extends string> =
  IsAny<T> extends true
    ? Data
    : T extends infer Own extends Job<any, any, any, any>
      ? Name extends Own['name']
        ? Own['data']
        : never
      : Data;
