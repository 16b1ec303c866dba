export const MINUTE_MS = 60_000;
export const MIB = 1_048_576;

export const FILE_PATH = { pattern: /./, expected: 'the path of a file' };
