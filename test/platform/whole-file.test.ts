/** Promises of a written file: whole or not there, its owner's only, and nothing else of the machine is touched. */
import { execFile } from 'node:child_process';
import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { wholeFile } from '../../src/platform/whole-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-whole-file-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a file is there when it is whole, for its owner only, and leaves nothing beside it', async () => {
  const path = join(folder, 'report.csv');
  const file = await wholeFile(path);
  await file.write('one\n');
  expect(await readdir(folder)).toEqual(['report.csv.unfinished']);
  await file.keep();
  await file.drop();
  expect(await readdir(folder)).toEqual(['report.csv']);
  expect(await readFile(path, 'utf8')).toBe('one\n');
  expect((await lstat(path)).mode & 0o777).toBe(0o600);
});

test('a file given by a link to it is written where the link leads', async () => {
  const path = join(folder, 'report.csv');
  await writeFile(path, 'old');
  await symlink(path, join(folder, 'latest'));
  const file = await wholeFile(join(folder, 'latest'));
  await file.write('new');
  await file.keep();
  expect((await lstat(join(folder, 'latest'))).isSymbolicLink()).toBe(true);
  expect(await readFile(path, 'utf8')).toBe('new');
});

test('a pipe or a device is written into, and never replaced by a file: not even /dev/null by root', async () => {
  const pipe = join(folder, 'pipe');
  await promisify(execFile)('mkfifo', [pipe]);
  const read = readFile(pipe, 'utf8');
  const file = await wholeFile(pipe);
  await file.write('through');
  await file.keep();
  await file.drop();
  expect(await read).toBe('through');
  expect((await lstat(pipe)).isFIFO()).toBe(true);
});

test('standard output takes any number of pages from a patient writer, and nothing is heard of it', async () => {
  const module = new URL('../../src/platform/whole-file.ts', import.meta.url).href;
  const writing = `import { standardOutput } from '${module}';
    for (let page = 0; page < 30; page += 1) await standardOutput.write('x'.repeat(100_000));`;
  const args = ['--input-type=module', '-e', writing];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 });
  expect({ stderr, length: stdout.length }).toEqual({ stderr: '', length: 3_000_000 });
});
