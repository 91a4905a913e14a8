/**
 * The story of the move, step by step, as residents with small browsers live it; what each of them must find is told here.
 *
 * It leans on nothing but the wire: the words on the pages, the promises of the pages' forms, and the mailbox. Starting and
 * stopping is check.ts's; what residents do later, on their own pages, own-story.ts's.
 */
import assert from 'node:assert/strict';
import type { Page } from './browser-page.ts';
import { Browser } from './browser.ts';
import { texts } from './e-service-texts.ts';
import { residents } from './residents.ts';
import { at, goToSignIn, mailsTo, password, press, signIn, tokens, waitForMail, words } from './steps.ts';
import type { Story } from './steps.ts';

const { email, asiointiId, karttaId } = residents.onAllLists;

export async function liveTheStory({ urls, step, signal }: Story): Promise<void> {
  const resident = new Browser({ signal });

  const addressPage = await step(
    "the e-service's 'Kirjaudu sisään' leads to Tunnus, which asks for the address only",
    async () => {
      const page = await goToSignIn(resident, urls.asiointi);
      at(page, { url: urls.tunnus, status: 200 });
      assert.deepEqual(tokens(page), ['username'], 'the address and nothing else is asked for');
      return page;
    },
  );

  await step('an address without a password yet is told of a mailed link', async () => {
    const page = await resident.submit(addressPage, { username: email });
    at(page, { url: urls.tunnus, status: 200, words: ['Tarkista sähköpostisi', email] });
    assert.ok(!tokens(page).includes('current-password'), 'no password is asked for');
  });

  const link = await step('the mail arrives through SMTP with a link to Tunnus', async () => {
    const mail = await waitForMail(urls.mailbox, { to: email, signal });
    const found = mail.links.find((each) => each.startsWith(`${urls.tunnus}/`));
    assert.ok(found, `the mail has a link to Tunnus: ${mail.text}`);
    assert.ok(mail.text.split(/\r?\n/).includes(found), 'the link stands alone on a line');
    assert.ok(mail.html.includes('<a '), 'the mail has an HTML part');
    return found;
  });

  await step('a mail scanner fetches the link four times and changes nothing', async () => {
    for (const method of ['HEAD', 'GET', 'GET', 'HEAD'] as const) {
      const { status } = await new Browser({ signal }).fetch(method, link);
      assert.ok(status < 400, `${method} answered ${status}`);
    }
  });

  const setPage = await step('the link opens the page for a new password and shows whose it is', async () => {
    const page = await resident.open(link);
    at(page, { url: urls.tunnus, status: 200, words: [email] });
    assert.ok(tokens(page).includes('new-password'), 'a new password is asked for');
    return page;
  });

  const donePage = await step('the password is set, and Tunnus says that it worked', async () => {
    const page = await resident.submit(setPage, { 'new-password': password });
    at(page, { url: urls.tunnus, status: 200, words: ['Salasanan asettaminen onnistui.'] });
    return page;
  });

  const ownPage = await step("'Siirry kirjautumaan' leads through the sign-in to the same e-service", async () => {
    const page = await signIn(resident, await press(resident, donePage, 'Siirry kirjautumaan'), { email });
    at(page, { url: urls.asiointi, status: 200 });
    return page;
  });

  await step('the e-service has the username at its top, and it opens the settings at Tunnus', async () => {
    const account = ownPage.links.find(({ text }) => text === email);
    assert.ok(account, 'the username is a link');
    const page = await resident.open(account.href);
    at(page, { url: `${urls.tunnus}/account`, status: 200, words: [email] });
  });

  await step('what the resident did years ago is there, by the old user id', async () => {
    at(ownPage, { url: urls.asiointi, status: 200, words: [words.history, asiointiId] });
  });

  await step('the second e-service lets the resident in without a password, with its own old id', async () => {
    const page = await goToSignIn(resident, urls.kartta);
    at(page, { url: urls.kartta, status: 200, words: [email, words.singleSignOn, karttaId] });
    assert.ok(!page.text.includes(asiointiId), "the other e-service's old id stays unknown here");
  });

  await step('an unknown address is told so, with the advice to try another one, and no mail goes', async () => {
    const unknown = residents.unknown.email;
    const stranger = new Browser({ signal });
    const page = await stranger.submit(await goToSignIn(stranger, urls.asiointi), { username: unknown });
    at(page, {
      url: urls.tunnus,
      status: 200,
      words: [`Emme tunnistaneet sähköpostiosoitetta ${unknown}`, 'kokeile toista'],
    });
    assert.equal((await mailsTo(urls.mailbox, { to: unknown, signal })).length, 0, 'no mail to the unknown address');
  });

  await step('the link used again says that it was used', async () => {
    const page = await new Browser({ signal }).open(link);
    at(page, { url: urls.tunnus, words: ['Linkki on jo käytetty'] });
  });

  await step("'Kirjaudu ulos' signs out of the e-service and of Tunnus", async () => {
    const front = await resident.open(`${urls.asiointi}/`);
    const page = await resident.submit(front, {}, words.signOut);
    at(page, { url: `${urls.asiointi}/signed-out`, status: 200, words: [words.signedOut] });
    assert.deepEqual(
      tokens(await goToSignIn(resident, urls.asiointi)),
      ['username'],
      'Tunnus asks for the address again',
    );
  });
}

/** The next day, in another browser, in Swedish. */
export async function comeBack({ urls, step, signal }: Story): Promise<void> {
  const resident = new Browser({ signal, language: 'sv' });

  await step('a wrong password does not let in', async () => {
    await resident.open(`${urls.asiointi}/?lang=sv`);
    const passwordPage = await resident.submit(await goToSignIn(resident, urls.asiointi), { username: email });
    assert.ok(tokens(passwordPage).includes('current-password'), 'the password is asked for, no link is mailed');
    const page = await resident.submit(passwordPage, { 'current-password': `${password}?` });
    at(page, { url: urls.tunnus, status: 422, words: ['Fel e-postadress eller lösenord.'] });
  });

  await step('the password set before does, in Swedish all the way', async () => {
    const page = await signIn(resident, await goToSignIn(resident, urls.asiointi), { email });
    at(page, { url: urls.asiointi, status: 200, words: [email, texts.sv.history, asiointiId] });
    assert.equal(page.language, 'sv');
  });
}

/** Residents who are on one list or two: each e-service shows what is theirs there, by its own old id, and nothing else. */
export async function findTheHistories({ urls, step, signal }: Story): Promise<void> {
  const { withBookings, onTwoLists, onErrandListOnly, onMapListOnly, inDoubt } = residents;

  const come = async (address: string): Promise<Browser> => {
    const browser = new Browser({ signal });
    await browser.submit(await goToSignIn(browser, urls.kartta), { username: address });
    const mail = await waitForMail(urls.mailbox, { to: address, signal });
    const link = mail.links.find((each) => each.startsWith(`${urls.tunnus}/`))!;
    const done = await browser.submit(await browser.open(link), { 'new-password': password });
    at(await signIn(browser, await press(browser, done, 'Siirry kirjautumaan'), { email: address }), {
      url: urls.kartta,
    });
    return browser;
  };
  const pagesOf = async (browser: Browser): Promise<{ asiointi: Page; kartta: Page }> => ({
    asiointi: await goToSignIn(browser, urls.asiointi),
    kartta: await browser.open(`${urls.kartta}/`),
  });

  for (const { who, on } of [
    { who: onTwoLists, on: 'two lists finds both histories, each by its own old id' },
    { who: withBookings, on: 'two lists, one of them without an e-service here, finds the one history' },
    { who: onErrandListOnly, on: "the first e-service's list only finds that one" },
    { who: onMapListOnly, on: "the second e-service's list only finds that one" },
  ]) {
    await step(`a resident on ${on}`, async () => {
      const pages = await pagesOf(await come(who.email));
      const { asiointiId, karttaId, elsewhereId }: Partial<Record<'asiointiId' | 'karttaId' | 'elsewhereId', string>> =
        who;
      at(pages.asiointi, { url: urls.asiointi, status: 200, words: [who.email, asiointiId ?? words.noHistory] });
      at(pages.kartta, { url: urls.kartta, status: 200, words: [who.email, karttaId ?? words.noHistory] });
      for (const foreign of [karttaId, elsewhereId])
        assert.ok(
          !foreign || !pages.asiointi.text.includes(foreign),
          `${foreign} stays unknown to the first e-service`,
        );
      for (const foreign of [asiointiId, elsewhereId])
        assert.ok(!foreign || !pages.kartta.text.includes(foreign), `${foreign} stays unknown to the second e-service`);
    });
  }

  await step('a resident in doubt does not get in where the doubt is, but is led to support', async () => {
    const pages = await pagesOf(await come(inDoubt.email));
    at(pages.asiointi, { url: urls.tunnus, status: 403, words: ['Emme voi yhdistää aiempia tietojasi'] });
    at(pages.kartta, { url: urls.kartta, status: 200, words: [words.noHistory] });
    for (const id of inDoubt.notTied) assert.ok(!pages.kartta.text.includes(id), `${id} is told to nobody`);
  });
}
