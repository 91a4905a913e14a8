/** The table of states, row by row, as a resident meets it through HTTP: what page comes, and what mail goes. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { randomToken, sha256 } from '../../src/platform/secrets.ts';
import { STATES, type AccountState, type Row } from '../../src/journeys/states.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEW_PASSWORD = 'neljä punaista venettä laiturissa';

const describeRow = ({ at, account, proof, second, link, page, mail }: Row): string =>
  [at, account, second, proof, link].filter(Boolean).join(', ') + ` -> ${page}${mail ? `, mail ${mail}` : ''}`;

describe.each(['tell', 'conceal'] as const)('signIn.unknownAddress: %s', (setting) => {
  let world: World;
  let asiointi: RelyingParty;
  let count = 0;

  beforeAll(async () => {
    world = await startWorld({ settings: { signIn: { unknownAddress: setting } } });
    asiointi = await world.relyingParty();
  });
  afterAll(() => world.close());

  async function person(state: AccountState, second?: Row['second']): Promise<{ email: string; id?: string }> {
    const email = `henkilo${(count += 1)}@example.com`;
    if (state === 'unknown') return { email };
    const password = state === 'no_password' || state === 'passkey_only' ? undefined : PASSWORD;
    const id = await world.account({ email, password, locked: state === 'locked' });
    if (state === 'passkey_only')
      await world.database.query(sql`update accounts set factors = '{passkey}' where id = ${id}`);
    if (second === 'asked')
      await world.database.query(sql`update accounts set factors = '{authenticator}' where id = ${id}`);
    return { email, id };
  }

  async function atPassword(email: string): Promise<HttpBrowser> {
    const browser = world.browser();
    await browser.get((await asiointi.begin()).url);
    await browser.submit({ username: email });
    await browser.get(new URL(`${signInPath(browser)}/password`, world.issuer));
    return browser;
  }

  const signInPath = (browser: HttpBrowser): string => /^\/sign-in\/[\w-]+/.exec(browser.page.url.pathname)![0];

  /** The page by its name, read off its address. */
  function pageOf(browser: HttpBrowser): string {
    if (browser.page.leadsTo?.host === 'asiointi.example') return 'e-service';
    const [first, , step] = browser.page.url.pathname.slice(1).split('/');
    return step ?? first!;
  }

  const mailsTo = async (email: string, expected: boolean): Promise<number> => {
    if (expected) await world.mailbox.next({ to: email });
    return world.mailbox.all.filter(({ to }) => to === email).length;
  };

  const rows = STATES.filter((row) => row.setting === undefined || row.setting === setting);

  test.each(rows.filter(({ at }) => at === 'address').map((row) => [describeRow(row), row] as const))(
    '%s',
    async (_, row) => {
      const { email } = await person(row.account);
      const browser = world.browser();
      await browser.get((await asiointi.begin()).url);
      await browser.submit({ username: email });
      expect(pageOf(browser)).toBe(row.page);
      expect(browser.page.status).toBe(200);
      expect(await mailsTo(email, row.mail !== undefined)).toBe(row.mail ? 1 : 0);
    },
  );

  test.each(rows.filter(({ at }) => at === 'password').map((row) => [describeRow(row), row] as const))(
    '%s',
    async (_, row) => {
      const { email } = await person(row.account, row.second);
      const browser = await atPassword(email);
      await browser.submit({ 'current-password': row.proof === 'right' ? PASSWORD : 'not the right one at all' });
      expect(pageOf(browser)).toBe(row.page);
    },
  );

  test.each(rows.filter(({ at }) => at === 'ask_link').map((row) => [describeRow(row), row] as const))(
    '%s',
    async (_, row) => {
      const { email } = await person(row.account);
      const browser = await atPassword(email);
      const before = world.mailbox.all.filter(({ to }) => to === email).length;
      await browser.submit({}, { form: 'form[action$="/link-sent"]' });
      expect(pageOf(browser)).toBe(row.page);
      if (row.mail === 'set_password') await world.mailbox.next({ to: email });
      else expect(world.mailbox.all.filter(({ to }) => to === email).length).toBeGreaterThanOrEqual(before);
    },
  );

  test.each(rows.filter(({ at }) => at.startsWith('link_')).map((row) => [describeRow(row), row] as const))(
    '%s',
    async (_, row) => {
      const { email, id } = await person(row.account);
      const token = randomToken();
      if (id) {
        await world.database.query(sql`
        insert into links (token_hash, account_id, purpose, created_at, expires_at, spent_at, ended_at)
        values (${sha256(token)}, ${id}, 'set_password', now(),
          now() + ${row.link === 'expired' ? '-1 hour' : '1 hour'}::interval,
          ${row.link === 'used' ? new Date() : null}, ${row.link === 'ended' ? new Date() : null})`);
      }
      const browser = world.browser();
      const live = await person('no_password');
      if (row.at === 'link_opened') {
        await browser.get(`${world.issuer}/set-password/${token}`);
      } else {
        // A form that was opened while another link was live, sent to this link.
        const other = randomToken();
        await world.database.query(sql`
        insert into links (token_hash, account_id, purpose, created_at, expires_at)
        values (${sha256(other)}, ${live.id}, 'set_password', now(), now() + '1 hour'::interval)`);
        const form = await browser.get(`${world.issuer}/set-password/${other}`);
        const csrf = form.form().querySelector('input[type=hidden]')!.getAttribute('value')!;
        await browser.post(
          `${world.issuer}/set-password/${token}`,
          { csrf, password: NEW_PASSWORD },
          { from: new URL(world.issuer) },
        );
      }
      const titles: Partial<Record<Row['page'], string>> = {
        'set-password': 'Aseta uusi salasana',
        'password-set': 'Salasanan asettaminen onnistui.',
        'link-used': 'Linkki on jo käytetty',
        'link-expired': 'Linkki on vanhentunut.',
        'link-unknown': 'Linkki ei toimi',
        locked: 'Käyttäjätunnus on suljettu',
      };
      expect(browser.page.h1).toBe(titles[row.page]);
      const [changed] = id
        ? await world.database.query<{ changed: boolean }>(
            sql`select epoch > 0 as changed from accounts where id = ${id}`,
          )
        : [{ changed: false }];
      expect(changed!.changed).toBe(row.writes.includes('password'));
      expect(await mailsTo(email, row.mail !== undefined)).toBe(row.mail ? 1 : 0);
    },
  );

  if (setting === 'conceal') {
    test('every address gets the same answer, to the letter and to the header', async () => {
      const answers = new Set<string>();
      for (const state of ['unknown', 'no_password', 'passkey_only', 'has_password', 'locked'] as const) {
        const { email } = await person(state);
        const browser = world.browser();
        await browser.get((await asiointi.begin()).url);
        await browser.submit({ username: email });
        const uid = signInPath(browser);
        const { html, status } = browser.page;
        const headers = Object.keys(browser.page.headers).sort().join();
        const csrf = browser.page.form().querySelector('input[type=hidden]')!.getAttribute('value')!;
        answers.add(
          [status, headers, html.replaceAll(email, 'X').replaceAll(uid, 'U').replaceAll(csrf, 'C')].join('\n'),
        );
      }
      expect(answers.size).toBe(1);
    });
  }
});
