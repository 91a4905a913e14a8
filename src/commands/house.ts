/**
 * What every command has in common: its words to people, its exit codes, the configuration, and the house it works in.
 */
import { userInfo } from 'node:os';
import { Option } from 'commander';
import { configFolder, describeFaults, readConfig, type Config } from '../config.ts';
import { connect, type Connection } from '../connection.ts';
import { makeLog } from '../platform/telemetry.ts';

export const DONE = 0;
export const FAILED = 1;
export const WRONG = 2;

/** What is wrong with the call or the configuration, told in plain lines. */
export class Wrong extends Error {}

/** Old lists and callers' words may hold what moves a terminal's cursor, begins a line or turns letters round. */
const INVISIBLE = /[\p{Cc}\p{Cf}]/gu;
const printable = (line: string): string => line.replace(INVISIBLE, '\ufffd');
const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

export const say = (line: string): void => void process.stdout.write(`${printable(line)}\n`);
/** Of one line or several: faults of the configuration are told all at once. */
export const complain = (lines: string): void =>
  void process.stderr.write(`${lines.split('\n').map(printable).join('\n')}\n`);
/** One line of JSON that is as safe to look at, and loses nothing. */
export const sayJson = (value: unknown): void =>
  void process.stdout.write(`${JSON.stringify(value).replace(/[\u007f-\u009f\u00ad\u200b-\u206f\ufeff]/g, escaped)}\n`);

export function configuration(): Config {
  const { config, faults } = readConfig(configFolder());
  if (!config) throw new Wrong(describeFaults(faults));
  return config;
}

export type House = Connection & { config: Config };

/** Runs a command on the database, joining a running embedded one. Its log keeps to warnings: output is for people. */
export async function withHouse<T>(work: (house: House) => Promise<T>): Promise<T> {
  const config = configuration();
  const house = await connect(config, { log: makeLog({ level: 'warn', destination: process.stderr }) });
  try {
    return await work({ ...house, config });
  } finally {
    await house.close();
  }
}

/** Who runs the command, for the audit. */
export const actor = (): string => `support:${userInfo().username}`;

export const jsonOption = (): Option => new Option('--json', 'print JSON, for programs');
