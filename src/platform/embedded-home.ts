/**
 * Where the embedded PostgreSQL lives and as whom: the folder, the programs, the user that it runs as. PostgreSQL refuses
 * to run as root, so a root's database runs as another user and must be where that user can enter. Starting and stopping
 * is embedded-postgres.ts's.
 */
import { chmodSync, chownSync, cpSync, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { readdirSync, readFileSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, parse, relative, resolve, sep } from 'node:path';
import { contentOf } from './process-lock.ts';
import { randomToken } from './secrets.ts';

export interface User {
  uid: number;
  gid: number;
}

export interface Home {
  folder: string;
  data: string;
  password: string;
  /** undefined: PostgreSQL runs as whoever runs this process. */
  user?: User;
}

const REFUGE = '/var/tmp';

/** The same answer whether the folder exists or not; changes nothing. */
export function homeOf(wanted: string): Home {
  const folder = resolve(wanted);
  const home = (place: string, user?: User): Home => ({
    folder: place,
    data: join(place, 'postgres'),
    password: join(place, 'password'),
    user,
  });
  if (process.getuid?.() !== 0) return home(folder);

  const user = ownerOf(join(folder, 'postgres')) ?? accountOf('postgres') ?? accountOf('nobody');
  if (!user) throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody');
  if (mayEnter(folder, user)) return home(folder, user);
  const refuge = folder.startsWith(REFUGE + sep) ? folder : join(REFUGE, folder);
  return home(refuge, ownerOf(join(refuge, 'postgres')) ?? user);
}

export function makeHome({ folder, user }: Home): void {
  const made = mkdirSync(folder, { recursive: true, mode: user ? 0o755 : 0o700 });
  if (!user) return;
  for (let place = folder; made && place.length >= made.length; place = dirname(place)) chmodSync(place, 0o711);
  // /var/tmp is open to all: nobody else may have laid the way there
  for (let place = folder; place.startsWith(REFUGE + sep); place = dirname(place)) {
    const { uid, mode } = lstatSync(place);
    if ((uid !== 0 && uid !== user.uid) || (mode & 0o022) !== 0)
      throw new Error(`${place} belongs to somebody else or is open to others: remove it or set database.folder`);
  }
}

/** A folder of PostgreSQL's own, empty. */
export function makeOwn(folder: string, user: User | undefined): void {
  mkdirSync(folder, { mode: 0o700 });
  if (user) chownSync(folder, user.uid, user.gid);
}

/** The folder with bin, lib and share; copied into the home where PostgreSQL's user can't enter the checkout. */
export function programsFor({ folder, user }: Home, log: (line: string) => void): string {
  const require = createRequire(import.meta.url);
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  // the package embedded-postgres serves to bring the binaries of this platform; its class is not used
  const entry = createRequire(require.resolve('embedded-postgres')).resolve(
    `@embedded-postgres/${system}-${process.arch}`,
  );
  const native = join(dirname(entry), '..', 'native');
  if (!user || mayEnter(join(native, 'bin', 'postgres'), user)) {
    completeLinks(native);
    return native;
  }
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as { version: string };
  const copy = join(folder, `programs-${version}`);
  if (!existsSync(copy)) {
    const draft = `${copy}.${randomToken(6)}`;
    cpSync(native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    openToAll(draft);
    renameSync(draft, copy);
    log(`PostgreSQL's programs were copied to ${copy}, since its user cannot enter ${dirname(native)}`);
  }
  completeLinks(join(copy, 'native'));
  return join(copy, 'native');
}

/** Readable for PostgreSQL's user, whatever mask npm or we ran under. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isSymbolicLink()) chmodSync(path, statSync(path).mode & 0o100 ? 0o755 : 0o644);
  }
}

/** npm packages hold no symbolic links; an install script makes them, but not everybody lets those run. */
function completeLinks(native: string): void {
  const links = JSON.parse(contentOf(join(native, 'pg-symlinks.json')) ?? '[]') as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link);
  }
}

function ownerOf(path: string): User | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : undefined;
}

function accountOf(name: string): User | undefined {
  const fields = (contentOf('/etc/passwd') ?? '')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([account]) => account === name);
  return fields ? { uid: Number(fields[2]), gid: Number(fields[3]) } : undefined;
}

/** Whether every existing step of the path lets the user through; what is not there yet, we make. */
function mayEnter(path: string, user: User): boolean {
  for (let place = path; ; place = dirname(place)) {
    const found = statSync(place, { throwIfNoEntry: false });
    if (found) {
      const shift = found.uid === user.uid ? 6 : found.gid === user.gid ? 3 : 0;
      if (((found.mode >> shift) & 1) === 0) return false;
    }
    if (place === parse(place).root) return true;
  }
}

/** Said in the log when the folder is not the one asked for. */
export function movedLine(wanted: string, { folder }: Home): string | undefined {
  return resolve(wanted) === folder
    ? undefined
    : `the database is in ${folder}, since PostgreSQL's user cannot enter ${resolve(wanted)}`;
}
