/** The `tunnus accounts` commands that support runs for one resident, and how they tell what they found. */
import type { Command } from 'commander';
import { supportFor } from '../app.ts';
import { actor, complain, FAILED, jsonOption, say, withHouse } from './house.ts';

export function supportCommands(accounts: Command): void {
  accounts
    .command('show')
    .argument('<email>')
    .addOption(jsonOption())
    .description('what is known of an account')
    .action((email: string, { json }: { json?: boolean }) =>
      run((support, now) => support.show(email, now), { json, tell: tellPicture }),
    );
  accounts
    .command('resend')
    .argument('<email>')
    .addOption(jsonOption())
    .description('mails a link that sets a password')
    .action((email: string, { json }: { json?: boolean }) =>
      run((support, now) => support.resend(email, now), {
        json,
        tell: ({ sent }: { sent: boolean }) => [
          sent ? 'A link is on its way.' : 'Enough links were mailed lately; the last ones still work.',
        ],
      }),
    );
  for (const act of ['lock', 'unlock'] as const) {
    accounts
      .command(act)
      .argument('<email>')
      .addOption(jsonOption())
      .description(act === 'lock' ? 'ends every session and refuses sign-in' : 'lets the resident sign in again')
      .action((email: string, { json }: { json?: boolean }) =>
        run((support, now) => support[act](email, now), { json, tell: () => ['Done.'] }),
      );
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  unknown_account: 'no account has this address',
  account_locked: 'the account is locked: unlock it first',
};

async function run(
  act: (support: ReturnType<typeof supportFor>, now: Date) => Promise<object>,
  { json, tell }: { json?: boolean; tell: (result: never) => string[] },
): Promise<void> {
  await withHouse(async (house) => {
    const result = await act(supportFor(house, actor()), new Date());
    if (json) say(JSON.stringify(result));
    if ('refused' in result) {
      if (!json) complain(REFUSALS[result.refused as string] ?? String(result.refused));
      process.exitCode = FAILED;
    } else if (!json) for (const line of tell(result as never)) say(line);
  });
}

interface Picture {
  account: { email: string; emailVerified: boolean; locale?: string; createdAt: Date; signedInAt?: Date };
  state: string;
  links: { live: number; newest?: Date };
  ties: { source: string; id: string; doubt?: string }[];
  events: { at: Date; kind: string; actor: string }[];
}

function tellPicture({ account, state, links, ties, events }: Picture): string[] {
  return [
    `${account.email}${account.emailVerified ? '' : '  (not verified yet)'}`,
    `state          ${state.replaceAll('_', ' ')}`,
    `language       ${account.locale ?? 'not chosen'}`,
    `last sign-in   ${account.signedInAt?.toISOString() ?? 'never'}`,
    `live links     ${links.live}${links.newest ? `, newest asked for ${links.newest.toISOString()}` : ''}`,
    ...ties.map(({ source, id, doubt }) => `on ${source}   ${id}${doubt ? `  (not tied: ${doubt})` : ''}`),
    ...events.map(({ at, kind, actor: who }) => `${at.toISOString()}  ${kind.replaceAll('_', ' ')}  ${who}`),
  ];
}
