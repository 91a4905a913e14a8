/**
 * Owns the making of a configuration folder for a test, and its removal. `faultsOf` tells its faults without the folder's
 * own path.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from '@jest/globals';
import { describeFaults, readConfig, type Config } from '../../src/config.ts';

export type Files = Readonly<Record<string, string>>;
type Environment = Readonly<Record<string, string>>;

export const ISSUER = 'issuer: https://tunnus.example.fi\n';
export const SECRET = 'a-secret-of-at-least-32-characters';

const made: string[] = [];
afterAll(() => made.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

export function configFolder(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunnus-config-'));
  made.push(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

export function configOf(files: Files, env: Environment = {}): Config {
  const { config, faults } = readConfig(configFolder(files), env);
  if (!config) throw new Error(describeFaults(faults));
  return config;
}

export function faultsOf(files: Files, env: Environment = {}): string[] {
  const folder = configFolder(files);
  return describeFaults(readConfig(folder, env).faults).replaceAll(`${folder}/`, '').split('\n').filter(Boolean);
}

/** A right client, with other lines at its end. */
export const clientFile = (more = '', id = 'library'): string =>
  `client_id: ${id}\nclient_name: Kirjasto\nclient_secret: ${SECRET}\nredirect_uris: [https://kirjasto.example.fi/in]\n${more}`;
