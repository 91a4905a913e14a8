/** The `tunnus keys` commands. */
import type { Command } from 'commander';
import { actor, jsonOption, say, sayJson, withHouse, type House } from './house.ts';

export function keysCommands(tunnus: Command): void {
  const keys = tunnus.command('keys').description('signing keys, and what is sealed');
  keys
    .command('list')
    .addOption(jsonOption())
    .description('the signing keys and what each does now')
    .action(({ json }: { json?: boolean }) =>
      withHouse(async (house) => {
        const { signingKeys } = await import('../desk.ts');
        const rows = await signingKeys(house).list(new Date());
        if (json) return sayJson(rows);
        for (const { kid, alg, state, secret } of rows) say(`${kid}  ${alg}  ${state}  ${sealText(secret)}`);
        (await sealLines(house)).forEach(say);
      }),
    );
  keys
    .command('rotate')
    .description('publishes new signing keys before their time; they sign a day later')
    .option('--now', 'a key is known to others: sign with new ones at once and withdraw every older one')
    .action(({ now: withdraw = false }: { now?: boolean }) =>
      withHouse(async (house) => {
        const { signingKeys } = await import('../desk.ts');
        await signingKeys(house).replace({ actor: actor(), withdraw }, new Date());
        for (const line of withdraw ? WITHDRAWN : PUBLISHED) say(line);
      }),
    );
  keys
    .command('reseal')
    .description('seals what stands in the database with the first secret')
    .action(() =>
      withHouse(async (house) => {
        const { sealing } = await import('../desk.ts');
        say(`Sealed anew: ${await sealing(house).reseal()}.`);
        (await sealLines(house)).forEach(say);
      }),
    );
}

const PUBLISHED = ['New keys are published; they sign once e-services have had time to fetch them.'];
const WITHDRAWN = [
  'New keys sign now, and every older one is withdrawn: running processes take them up within moments.',
  'E-services that keep our keys refuse new sign-ins until they fetch them anew: most do so by themselves at the first',
  'unknown key, all within an hour. Restart one that does not. ID tokens from before are no longer good as a hint:',
  'e-services that sign residents out with one lead to a page that asks first.',
];

function sealText(secret: number | null | undefined): string {
  if (secret === null) return 'private half gone';
  if (secret === undefined) return 'sealed by a secret that is not in the list';
  return secret === 0 ? 'sealed by the first secret' : `sealed by secret ${secret + 1} of the list`;
}

/** May the other secrets go? */
async function sealLines(house: House): Promise<string[]> {
  const { sealing } = await import('../desk.ts');
  const all = await sealing(house).list();
  const told = (found: typeof all): string => found.map(({ name, count }) => `${name} (${count})`).join(', ');
  const [old, closed] = [all.filter(({ secret }) => secret), all.filter(({ secret }) => secret === undefined)];
  const lines: string[] = [];
  if (closed.length > 0)
    lines.push(`Sealed by a secret that is not in the list: ${told(closed)}. Nothing opens them until it is put back.`);
  if (old.length > 0)
    lines.push(`Not sealed by the first secret: ${told(old)}. Run tunnus keys reseal before an old secret goes.`);
  return lines.length > 0 ? lines : [ALL_SEALED];
}

const ALL_SEALED =
  'All that stands in the database is sealed by the first secret. Others may go a day after it was put first.';
