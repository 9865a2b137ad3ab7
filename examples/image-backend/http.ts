import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

const MAX_UPLOAD_BYTES = 20 * 1024 * 1024;

/** An answer other than 200, thrown by a route. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Upload {
  name: string;
  body: Buffer;
}

/** The `image` field of a multipart form. */
export async function readUpload(request: IncomingMessage): Promise<Upload> {
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  if (!(length <= MAX_UPLOAD_BYTES)) throw new HttpError(413, 'an upload says its length and has at most 20 MB');
  const headers = { 'content-type': request.headers['content-type'] ?? '' };
  let image: unknown;
  try {
    image = (await new Response(Readable.toWeb(request) as ReadableStream, { headers }).formData()).get('image');
  } catch {
    throw new HttpError(400, 'expected a multipart form');
  }
  if (!(image instanceof Blob)) throw new HttpError(400, 'expected a file in the field "image"');
  return { name: (image as File).name, body: Buffer.from(await image.arrayBuffer()) };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
