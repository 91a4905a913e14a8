/** A copy of everything that is known of the resident: as JSON for programs, as a page for people. */
import type { DeviceKind } from '../../platform/user-agent.ts';
import type { AuditKind } from '../../records/audit.ts';
import { inAccount } from '../account-pages.ts';
import { detailsOf } from '../details.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { deviceWords } from '../whence.ts';

export function accountDataScreen(parts: ScreenParts): Screen {
  return {
    path: '/account/data',
    get: inAccount(parts, (_ctx, { render }) => render('account-data'), { fresh: true }),
    post: inAccount(
      parts,
      async (ctx, { account, sessionUid, from, url }) => {
        const { form } = await readForm(ctx, { form: { max: 10, required: true } });
        const data = await parts.ownData.copy({ account, sessionUid, from }, parts.clock());
        // Gone meanwhile: the way on is the sign-in, which says so.
        if (!data) return goOn(ctx, url('/account'));
        const day = data.made_at.slice(0, 10);
        ctx.set('Content-Disposition', `attachment; filename="tunnus-${day}.${form === 'json' ? 'json' : 'html'}"`);
        if (form === 'json') {
          ctx.set('Cache-Control', 'no-store');
          ctx.type = 'application/json; charset=utf-8';
          ctx.body = `${JSON.stringify(data, null, 2)}\n`;
          return;
        }
        const page = pageOf(ctx);
        const { t, language } = page;
        const name = (id: string | null): string => parts.client(id ?? undefined)?.client_name[language] ?? id ?? '';
        await page.render('own-data', {
          data,
          name,
          details: (given: Parameters<typeof detailsOf>[0]) => detailsOf(given, page, parts.config.resources),
          // Of the mails that there are; what they were about is what they said at the top.
          mail: (kind: string) => t(`mail.${kind}_subject`, { day: '' }).trim(),
          device: (kind: DeviceKind | null) => deviceWords(ctx, kind),
          event: (kind: AuditKind) => t(EVENTS[kind]),
        });
      },
      { fresh: true },
    ),
  };
}

const EVENTS: Readonly<Record<AuditKind, string>> = {
  signed_in: 'event.signed_in',
  sign_in_refused: 'event.sign_in_refused',
  signed_out: 'event.signed_out',
  link_requested: 'event.link_requested',
  password_set: 'event.password_set',
  password_changed: 'event.password_changed',
  language_changed: 'event.language_changed',
  details_changed: 'event.details_changed',
  session_ended: 'event.session_ended',
  other_sessions_ended: 'event.other_sessions_ended',
  account_locked: 'event.account_locked',
  account_unlocked: 'event.account_unlocked',
  account_erased: 'event.account_erased',
  dormancy_warned: 'event.dormancy_warned',
  email_change_asked: 'event.email_change_asked',
  email_change_called_off: 'event.email_change_called_off',
  email_changed: 'event.email_changed',
  email_change_undone: 'event.email_change_undone',
  email_undo_asked: 'event.email_undo_asked',
  data_downloaded: 'event.data_downloaded',
  leaving_asked: 'event.leaving_asked',
  leaving_reminded: 'event.leaving_reminded',
  leaving_undone: 'event.leaving_undone',
  legacy_id_linked: 'event.legacy_id_linked',
  legacy_id_unlinked: 'event.legacy_id_unlinked',
  account_viewed: 'event.account_viewed',
  support_requested: 'event.support_requested',
  list_imported: 'event.list_imported',
  keys_replaced: 'event.keys_replaced',
  audit_dropped: 'event.audit_dropped',
  agreement_given: 'event.agreement_given',
  agreement_withdrawn: 'event.agreement_withdrawn',
  token_reused: 'event.token_reused',
  database_restored: 'event.database_restored',
  passkey_added: 'event.passkey_added',
  passkey_removed: 'event.passkey_removed',
  authenticator_added: 'event.authenticator_added',
  authenticator_removed: 'event.authenticator_removed',
  recovery_codes_made: 'event.recovery_codes_made',
  recovery_code_used: 'event.recovery_code_used',
  two_steps_on: 'event.two_steps_on',
  two_steps_off: 'event.two_steps_off',
  factor_removal_asked: 'event.factor_removal_asked',
  factor_removal_called_off: 'event.factor_removal_called_off',
  factor_removed: 'event.factor_removed',
  registration_requested: 'event.registration_requested',
  account_registered: 'event.account_registered',
};
