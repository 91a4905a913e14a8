/** Owns writing a file that is whole or not there: beside its place first, readable for its owner only, then moved. */
import { open, rename, rm } from 'node:fs/promises';

export interface WholeFile {
  write(text: string): Promise<void>;
  /** Puts the file in its place. */
  keep(): Promise<void>;
  /** Leaves nothing behind; does nothing after `keep`. */
  drop(): Promise<void>;
}

/** Throws the system's error where it cannot be written. */
export async function wholeFile(path: string): Promise<WholeFile> {
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
