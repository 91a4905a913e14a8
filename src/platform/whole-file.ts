/**
 * Owns writing a file that is whole or not there: beside its place first, readable for its owner only, then moved. Standard
 * output, which cannot be, has the same shape.
 */
import { open, realpath, rename, rm, stat } from 'node:fs/promises';

export interface WholeFile {
  write(text: string): Promise<void>;
  /** Puts the file in its place. */
  keep(): Promise<void>;
  /** Leaves nothing behind; does nothing after `keep`. */
  drop(): Promise<void>;
}

/** The system's code where an error says that a file could not be written; undefined for any other error. */
export function unwritable(error: unknown): string | undefined {
  const { code, syscall = '' } = error as NodeJS.ErrnoException;
  return ['open', 'write', 'fsync', 'rename'].includes(syscall) ? code : undefined;
}

/** Throws the system's error where it cannot be written. */
export async function wholeFile(path: string): Promise<WholeFile> {
  const place = await realpath(path).catch(() => path);
  const there = await stat(path).catch(() => undefined);
  // A pipe or a device takes what comes; moved into its place, a file would take /dev/null from the whole machine.
  return there && !there.isFile() ? stream(path) : besideThenMoved(place);
}

async function stream(path: string): Promise<WholeFile> {
  const file = await open(path, 'w');
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return { write: (text) => file.appendFile(text), keep: close, drop: close };
}

async function besideThenMoved(path: string): Promise<WholeFile> {
  const unfinished = `${path}.unfinished`;
  // One that a kill left behind may be anybody's to read.
  await rm(unfinished, { force: true });
  const file = await open(unfinished, 'wx', 0o600);
  let isOpen = true;
  return {
    async write(text) {
      await file.appendFile(text);
    },
    async keep() {
      await file.sync();
      await file.close();
      isOpen = false;
      await rename(unfinished, path).catch(async (error: unknown) => {
        await rm(unfinished, { force: true });
        throw error;
      });
    },
    async drop() {
      if (!isOpen) return;
      isOpen = false;
      await file.close();
      await rm(unfinished, { force: true });
    },
  };
}

export const standardOutput: WholeFile = {
  /** Waits for whoever reads. Who has gone (`| head`) is waited for no more: the work goes on to its end all the same. */
  write: (text) => new Promise((resolve) => void process.stdout.write(text, () => resolve())),
  keep: () => Promise.resolve(),
  drop: () => Promise.resolve(),
};
