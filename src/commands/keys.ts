/** The `tunnus keys` commands. */
import type { Command } from 'commander';
import { signingKeys } from '../app.ts';
import { jsonOption, say, withHouse } from './house.ts';

export function keysCommands(tunnus: Command): void {
  const keys = tunnus.command('keys').description('signing keys');
  keys
    .command('list')
    .addOption(jsonOption())
    .description('the signing keys and what each does now')
    .action(({ json }: { json?: boolean }) =>
      withHouse(async (house) => {
        const rows = await signingKeys(house).list(new Date());
        if (json) say(JSON.stringify(rows));
        else for (const { kid, alg, state } of rows) say(`${kid}  ${alg}  ${state}`);
      }),
    );
  keys
    .command('rotate')
    .description('publishes new signing keys before their time')
    .action(() =>
      withHouse(async (house) => {
        await signingKeys(house).replace(new Date());
        say('New keys are published; they sign once e-services have had time to fetch them.');
      }),
    );
}
