// The names and payloads that the parts of this backend share.

export enum QueueName {
  IMAGE_PROCESSING = 'image-processing',
}

export enum Channel {
  AVATAR_READY = 'avatar:ready',
}

export interface ImageOperation {
  type: 'resize' | 'convert' | 'compress' | 'thumbnail';
  params: Record<string, any>;
}

export interface ImageProcessingJobData {
  fileId: string;
  operations: ImageOperation[];
  outputBucket: string;
  outputKey: string;
}

export interface ImageProcessingResult {
  outputKey: string;
  format: string;
  width: number;
  height: number;
  bytesBefore: number;
  bytesAfter: number;
}

export interface AvatarReady {
  avatarId: string;
  key: string;
  bytes: number;
}

/** What each queue takes and gives: `addJob` and `registerProcessor` are typed by these. */
export type Payloads = {
  [QueueName.IMAGE_PROCESSING]: ImageProcessingJobData;
};
export type Results = {
  [QueueName.IMAGE_PROCESSING]: ImageProcessingResult;
};
