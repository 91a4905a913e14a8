/** The `tunnus accounts` commands that support runs for one resident: their options, refusals and exit codes. */
import type { Command } from 'commander';
import type { supportFor } from '../desk.ts';
import type { Whose } from '../journeys/support.ts';
import type { Changed, ChangeRefused, Warning } from '../journeys/identity-changes.ts';
import { tellFactors, tellPicture } from './account-picture.ts';
import { actor, complain, DONE, FAILED, jsonOption, say, sayJson, withHouse, WRONG, Wrong } from './house.ts';

type Acts = ReturnType<typeof supportFor>;

interface Output {
  json?: boolean;
}
interface IdOptions extends Output {
  source: string;
  legacyId: string;
  yes?: boolean;
}

export function supportCommands(accounts: Command): void {
  const command = (name: string, description: string): Command =>
    accounts.command(name).description(description).addOption(jsonOption());

  command('show', 'what is known of an account')
    .argument('[email]')
    .option('--source <name>', 'with --legacy-id: whose old id it is')
    .option('--legacy-id <id>')
    .action((email: string | undefined, { json, ...old }: Output & { source?: string; legacyId?: string }) =>
      run((acts, now) => acts.show(whose(email, old), now), { json, tell: (picture) => tellPicture(picture) }),
    );

  command('resend', 'mails a link that sets a password')
    .argument('<email>')
    .action((email: string, { json }: Output) =>
      run((acts, now) => acts.resend(email, now), { json, tell: () => ['A link is on its way.'] }),
    );

  command('set-email', 'gives an account another address; ends sessions, links and the password')
    .argument('<old>')
    .argument('<new>')
    .requiredOption('--reason <text>', 'why, for the record')
    .action((from: string, to: string, { json, reason }: Output & { reason: string }) =>
      run((acts, now) => acts.setEmail({ from, to, reason }, now), { json, tell: addressSet }),
    );

  for (const act of ['lock', 'unlock'] as const) {
    command(act, act === 'lock' ? 'ends every session and refuses sign-in' : 'lets the resident sign in again')
      .argument('<email>')
      .option('--reason <text>', 'why, for the record')
      .action((email: string, { json, reason }: Output & { reason?: string }) =>
        run((acts, now) => acts[act]({ email, reason }, now), { json, tell: changed }),
      );
  }

  command('factors', 'the ways to sign in besides the password')
    .argument('<email>')
    .action((email: string, { json }: Output) =>
      run((acts, now) => acts.factors(email, now), { json, tell: tellFactors }),
    );

  command('remove-factor', 'removes a way to sign in that the resident has lost, 72 hours after telling them')
    .argument('<email>')
    .argument('<factor>', 'authenticator, the id of a passkey, or all')
    .requiredOption('--reason <text>', 'why, for the record')
    .action((email: string, factor: string, { json, reason }: Output & { reason: string }) =>
      run((acts, now) => acts.removeFactor({ email, factor, reason }, now), {
        json,
        tell: ({ dueAt }) => [`The resident is told. It goes on ${dueAt.toISOString()} if they do not call it off.`],
      }),
    );

  for (const act of ['link', 'unlink'] as const) {
    command(act, act === 'link' ? 'ties an old user id to an account' : 'takes an old user id away from an account')
      .argument('<email>')
      .requiredOption('--source <name>', 'the old list')
      .requiredOption('--legacy-id <id>', 'the user id there')
      .option('--yes', 'also where an e-service will know the resident by another id')
      .action((email: string, { json, source, legacyId: id, yes }: IdOptions) =>
        run((acts, now) => acts[act]({ email, source, id, yes }, now), { json, tell: changed }),
      );
  }

  command('erase', 'erases an account for good')
    .argument('<email>')
    .option('--yes', 'do it; without it this only says what would go')
    .action((email: string, { json, yes }: Output & { yes?: boolean }) =>
      run((acts, now) => acts.erase({ email, yes }, now), { json, tell: () => ['The account is erased.'] }),
    );
}

function whose(email: string | undefined, { source, legacyId }: { source?: string; legacyId?: string }): Whose {
  if (email !== undefined && source === undefined && legacyId === undefined) return { email };
  if (email === undefined && source !== undefined && legacyId !== undefined) return { source, id: legacyId };
  throw new Wrong('accounts show: an address is expected, or --source and --legacy-id');
}

const addressSet = (result: Changed): string[] => [
  ...changed(result),
  ...(result.keeps
    ? [
        'The account keeps its ways to sign in besides the password. If one may be of somebody else: lock, then factors.',
      ]
    : []),
];

const changed = (result: { changed: boolean }): string[] => [result.changed ? 'Done.' : 'It was so already.'];

/** What the call itself got wrong ends with 2, what the account does not allow with 1. */
const REFUSALS: Readonly<Record<string, { words: string; code: number }>> = {
  not_an_address: { words: 'this is no e-mail address', code: WRONG },
  new_is_no_address: { words: 'the new address is no e-mail address', code: WRONG },
  unknown_account: { words: 'no account has this address', code: FAILED },
  unknown_id: { words: 'no account has this old id', code: FAILED },
  erased_account: { words: 'the account with this address was erased', code: FAILED },
  erased_id: { words: 'whoever had this old id was erased; it is never given to an account again', code: FAILED },
  account_locked: { words: 'the account is locked: unlock it first', code: FAILED },
  enough_links: { words: 'enough links were mailed lately; the last ones still work', code: FAILED },
  bad_reason: { words: '--reason: one to 500 characters of text are expected', code: WRONG },
  address_taken: { words: 'another account has the new address', code: FAILED },
  unknown_source: { words: '--source: no such list', code: WRONG },
  unusable_id: {
    words: '--legacy-id: 1 to 255 printable ASCII characters, not beginning with tunnus-, are expected',
    code: WRONG,
  },
  id_taken: {
    words: 'this old id is tied to another account: accounts show --source … --legacy-id … shows which',
    code: FAILED,
  },
  other_id: { words: 'the account is tied to another id of this list: unlink that first', code: FAILED },
  sub_taken: {
    words: 'e-services have known another account by this old id; it is never given to a second one',
    code: FAILED,
  },
  no_such_factor: {
    words: 'the account does not have this way to sign in: accounts factors shows which',
    code: FAILED,
  },
  no_such_id: { words: 'the account does not have this old id', code: FAILED },
  needs_yes: { words: 'nothing was done; with --yes it will be', code: WRONG },
};

async function run<R extends object>(
  act: (acts: Acts, now: Date) => Promise<R>,
  { json, tell }: { json?: boolean; tell: (result: Exclude<R, { refused: string }>) => string[] },
): Promise<void> {
  await withHouse(async (house) => {
    const { supportFor } = await import('../desk.ts');
    const result = await act(supportFor(house, actor()), new Date());
    if (json) sayJson(result);
    if ('refused' in result) {
      const { refused, warnings, at, sources } = result as Partial<ChangeRefused> & { refused: string };
      const { words, code } = REFUSALS[refused]!;
      process.exitCode = code;
      if (json) return;
      for (const warning of warnings ?? []) complain(tellWarning(warning));
      const when = at ? `: ${at.toISOString()}` : '';
      const which = sources ? `; there are: ${sources.join(', ') || 'none'}` : '';
      complain(`${words}${when}${which}`);
      return;
    }
    process.exitCode = DONE;
    if (!json) for (const line of tell(result as Exclude<R, { refused: string }>)) say(line);
  });
}

function tellWarning(warning: Warning): string {
  switch (warning.warning) {
    case 'sub_changes': {
      const where = warning.eServices.length ? warning.eServices.join(', ') : 'E-services that lean on this list';
      const next = warning.to === undefined ? 'a new id, with no history' : warning.to;
      return `${where}: has known this resident as ${warning.from} and will from now on know them as ${next}. What they did there as ${warning.from} stays under that id; they are signed out everywhere.`;
    }
    case 'id_on_no_list':
      return 'No list that was imported has this id: look whether it is written right.';
    case 'erases': {
      const { email, ties, links, sessions, subs } = warning;
      return `This erases ${email} for good: the account, its password and settings, ${ties} old ids, ${links} links, ${sessions} sessions, its mails, and what is personal in the record of events. A last mail tells the resident. Kept: that it was erased (no import brings it back), and the ${subs} ids by which e-services know it, so that nobody else gets them. What e-services themselves keep is theirs to erase.`;
    }
  }
}
