/** `tunnus restored`, which makes a restored database safe to serve, and `tunnus accounts erasures`, the list that it needs. */
import type { Command } from 'commander';
import { writeErasures } from '../journeys/erasure-list.ts';
import { actor, jsonOption, say, sayJson, withHouse, Wrong } from './house.ts';

export function restoredCommands(tunnus: Command, accounts: Command): void {
  tunnus
    .command('restored')
    .option('--erasures <file>', 'the newest list that `accounts erasures` wrote: those accounts are erased again')
    .option('--no-erasures', 'there is no such list: whoever was erased since the backup comes back')
    .addOption(jsonOption())
    .description('run after a backup was restored, before any node starts: ends all that could let somebody in')
    .action(restored);
  accounts
    .command('erasures')
    .option('--file <file>', 'write it there, readable for its owner only; default: standard output')
    .description('the list of erasures as keyed hashes, to be kept outside the database')
    .action(({ file }: { file?: string }) =>
      withHouse(async (house) => {
        const done = await writeErasures(house, file);
        if ('refused' in done) throw new Wrong(done.refused);
        if (file) say(`${done.erasures} hashes`);
      }),
    );
}

async function restored({ erasures, json }: { erasures?: string | false; json?: boolean }): Promise<void> {
  if (erasures === undefined)
    throw new Wrong(
      '--erasures FILE is missing: without the list, whoever was erased since the backup comes back (--no-erasures)',
    );
  await withHouse(async (house) => {
    // It brings the mails along, and with them what writes them: no other command waits for that.
    const { afterRestore } = await import('../journeys/after-restore.ts');
    const done = await afterRestore(house, { list: erasures || undefined, actor: actor() }, new Date());
    if ('refused' in done) throw new Wrong(done.refused);
    if (json) return sayJson(done);
    const { accounts, links, interactions, mails, removals, erasedAgain } = done;
    say(
      `Ended: every session, grant, code and token of ${accounts} accounts, ${links} links, ${interactions} sign-ins under way,`,
    );
    say(
      `${mails} mails that waited, ${removals} removals of factors (ask anew for those that still hold). Erased again: ${erasedAgain} accounts.`,
    );
    say('Start the nodes now. If signing keys were withdrawn since the backup: tunnus keys rotate --now.');
  });
}
