/** The `tunnus audit` commands: which events there are, and whether they still stand as they were sealed. */
import { Option, type Command } from 'commander';
import { readAudit, verifyAudit, type AuditVerdict, type ListedEvent, type Wanted } from '../journeys/audit-reading.ts';
import { DONE, FAILED, jsonOption, say, sayJson, withHouse, Wrong } from './house.ts';

interface ListOptions extends Omit<Wanted, 'clientId'> {
  client?: string;
  json?: boolean;
}

export function auditCommands(tunnus: Command): void {
  const audit = tunnus.command('audit').description('what happened, as it was written and sealed');
  audit
    .command('list')
    .option('--account <email>', 'of one account: its address, or its id')
    .option('--kind <kind>', 'of one kind')
    .addOption(new Option('--since <time>', 'from this time on (2026-11-24, or 2026-11-24T10:00Z)').argParser(time))
    .addOption(new Option('--until <time>', 'before this time').argParser(time))
    .option('--client <id>', 'at one e-service')
    .addOption(jsonOption())
    .description('the events, oldest first, with --json one a line; times are in UTC')
    .action(list);
  audit
    .command('verify')
    .addOption(
      new Option('--seal <digest>', 'a seal that the log told of: is it still in the chain?').argParser(digest),
    )
    .addOption(jsonOption())
    .description('whether every event is as it was when its minute was sealed; 1 where one is not')
    .action(verify);
}

/** ISO 8601; a day begins at midnight UTC, and so does a time that names no zone. */
function time(given: string): Date {
  const [whole, day, clock = 'T00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(given) ?? [];
  const at = new Date(whole === undefined ? NaN : `${day}${clock}${zone}`);
  if (Number.isNaN(at.getTime()))
    throw new Wrong(`${given.slice(0, 40)} is no time, expected one like 2026-11-24 or 2026-11-24T10:00Z`);
  return at;
}

function digest(given: string): string {
  if (!/^[0-9a-f]{64}$/i.test(given)) throw new Wrong('--seal: 64 hexadecimal digits are expected, as in the log');
  return given.toLowerCase();
}

async function list({ json, client, ...wanted }: ListOptions): Promise<void> {
  await withHouse(async ({ database }) => {
    const refused = await readAudit(database, { ...wanted, clientId: client }, (page) => {
      for (const event of page) {
        if (json) sayJson(event);
        else say(lineOf(event));
      }
    });
    if (refused)
      throw new Wrong(
        refused.known
          ? `--kind ${wanted.kind!.slice(0, 40)}: there is no such kind; there are: ${refused.known.join(', ')}`
          : `--account ${wanted.account!.slice(0, 254)}: no account has this address`,
      );
  });
}

function lineOf({ at, kind, account_id, client_id, place, device, actor, detail }: ListedEvent): string {
  const more = Object.entries(detail).map(([name, value]) => `${name}=${String(value)}`);
  const from = [place, device && `${device.browser}/${device.system}`];
  const rest = [account_id, client_id, actor, ...from, ...more].filter(Boolean);
  return `${at.toISOString()}  ${kind.padEnd(20)}${rest.join('  ')}`;
}

const WHAT = {
  missing: (events: number) => `events are missing: ${events}`,
  added: (events: number) => `events were added after the seal: ${events}`,
  changed: () => 'an event was changed after the seal',
  seal: () => 'the seal, or the one before it, is gone or was changed',
} as const;

async function verify({ json, seal }: { json?: boolean; seal?: string }): Promise<void> {
  await withHouse(async ({ database, sealer }) => {
    const found = await verifyAudit(database, sealer, seal);
    const good = found.broken.length === 0 && found.inChain !== false;
    if (json) sayJson({ ...found, good, last: found.last && told(found.last) });
    else linesOf(found).forEach(say);
    process.exitCode = good ? DONE : FAILED;
  });
}

const told = ({ nth, minute, digest }: NonNullable<AuditVerdict['last']>) => ({
  nth,
  minute,
  digest: digest.toString('hex'),
});

function linesOf({ broken, inChain, seals, events, waiting, last }: AuditVerdict): string[] {
  return [
    ...broken.map(({ minute, what, events }) => `${minute.toISOString().slice(0, 16)}Z  ${WHAT[what](events)}`),
    ...(inChain === false ? ['The seal that was asked for is not in the chain.'] : []),
    ...(inChain ? ['The seal that was asked for is in the chain.'] : []),
    `${seals} seals over ${events} events${broken.length ? '' : ', all as they were sealed'}; not sealed yet: ${waiting}`,
    ...(last ? [`The last seal is number ${last.nth}, ${last.digest.toString('hex')}`] : []),
  ];
}
