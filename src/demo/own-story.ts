/**
 * What residents do on their own pages, step by step, as they live it with small browsers: what they change, end and take with
 * them, stronger ways to sign in, an account of their own making, and leaving.
 */
import assert from 'node:assert/strict';
import { codeOfApp } from './authenticator-app.ts';
import type { Page } from './browser-page.ts';
import { Browser } from './browser.ts';
import { Passkey } from './passkey.ts';
import { residents } from './residents.ts';
import { at, goToSignIn, password, press, signIn, tokens, waitForLink, waitForMail, words } from './steps.ts';
import type { Story } from './steps.ts';

/** Also where the e-service has not heard yet that its own session is over. */
const signInAnew = (browser: Browser, site: string): Promise<Page> => browser.open(`${site}/login`);

/** Behind the username: what a resident changes, ends and takes with them. */
export async function seeToTheirOwn({ urls, step, signal }: Story): Promise<void> {
  const { email: address, asiointiId } = residents.onErrandListOnly;
  const next = `uusi.${address}`;
  const [resident, elsewhere] = [new Browser({ signal }), new Browser({ signal })];
  const account = (path: string): Promise<Page> => resident.open(`${urls.tunnus}/account${path}?client_id=asiointi`);

  await step('the settings behind the username show who it is, and lead back to the e-service', async () => {
    await signIn(elsewhere, await goToSignIn(elsewhere, urls.kartta), { email: address });
    const own = await signIn(resident, await goToSignIn(resident, urls.asiointi), { email: address });
    const page = await resident.open(own.links.find(({ text }) => text === address)!.href);
    at(page, { url: `${urls.tunnus}/account`, status: 200, words: [address, 'Kirjauduit viimeksi'] });
    assert.ok(
      page.links.some(({ href }) => href.startsWith(urls.asiointi)),
      'there is a way back',
    );
  });

  await step('the resident gives a phone number and a name', async () => {
    const filled = { 'given-name': 'Suvi', 'family-name': 'Öhman', tel: '+358 40 123 4567' };
    const page = await resident.submit(await account('/details'), filled);
    at(page, { url: `${urls.tunnus}/account`, words: ['Tietosi on tallennettu.', 'Suvi Öhman', '+358401234567'] });
  });

  await step('another address is confirmed by a link to it, and the old id stays', async () => {
    await resident.submit(await account('/email'), { email: next });
    const mail = await waitForMail(urls.mailbox, { to: next, signal });
    const page = await resident.submit(await resident.open(mail.links[0]!));
    at(page, { url: urls.tunnus, status: 200, words: [next] });
    at(await signInAnew(resident, urls.asiointi), { url: urls.asiointi, words: [next, asiointiId] });
  });

  await step('whoever reads the old mailbox can undo that for a week; then a new password is set by mail', async () => {
    const undo = await waitForLink(urls.mailbox, { to: address, path: '/undo-email/', signal });
    const page = await resident.submit(await resident.open(undo));
    at(page, { url: urls.tunnus, status: 200, words: [address, 'salasana lakkaa toimimasta'] });
    await resident.submit(await signInAnew(resident, urls.asiointi), { username: address });
    const link = await waitForLink(urls.mailbox, { to: address, path: '/set-password/', newerThan: undo, signal });
    await resident.submit(await resident.open(link), { 'new-password': password });
    at(await signIn(resident, await signInAnew(resident, urls.asiointi), { email: address }), { url: urls.asiointi });
  });

  await step('the resident sees where they are signed in, and ends all others', async () => {
    await signIn(elsewhere, await signInAnew(elsewhere, urls.kartta), { email: address });
    const page = await resident.submit(await account('/sessions'), {}, 'Päätä kaikki muut kirjautumiset');
    at(page, { url: urls.tunnus, words: ['Kaikki muut kirjautumisesi on päätetty.'] });
    at(await elsewhere.open(`${urls.tunnus}/account`), { url: `${urls.tunnus}/sign-in/` });
    at(await account('/sign-ins'), { url: urls.tunnus, words: ['Kirjautuminen onnistui'] });
  });

  await step('the resident downloads everything that is known of them', async () => {
    const page = await resident.submit(await account('/data'));
    at(page, { url: urls.tunnus, status: 200, words: [address, 'Suvi', asiointiId] });
  });
}

/** Instead of the password. The resident has one already. */
export async function signInWithoutPassword({ urls, step, signal }: Story): Promise<void> {
  const { email, karttaId } = residents.onTwoLists;
  const resident = new Browser({ signal, passkey: new Passkey(urls.tunnus) });

  await step('after a password a device that can make a passkey is offered one, and a mail tells of it', async () => {
    const offer = await signIn(resident, await goToSignIn(resident, urls.kartta), { email });
    at(offer, { url: urls.tunnus, status: 200, words: ['Kirjaudu ensi kerralla ilman salasanaa'] });
    at(await press(resident, offer, 'Tee pääsyavain'), { url: urls.kartta, status: 200, words: [email] });
    await waitForMail(urls.mailbox, { to: email, saying: 'lisättiin pääsyavain', signal });
  });

  await step('after signing out the passkey alone signs in: no address, no password', async () => {
    at(await press(resident, await resident.open(`${urls.kartta}/`), words.signOut), { url: urls.kartta });
    const page = await press(resident, await goToSignIn(resident, urls.kartta), 'Käytä pääsyavainta');
    at(page, { url: urls.kartta, status: 200, words: [email, karttaId] });
  });

  await step('that is two steps in one, where an e-service asks for two', async () => {
    at(await goToSignIn(resident, urls.terveys), { url: urls.terveys, status: 200, words: [email, words.twoSteps] });
  });
}

/** A second step after the password, which one of the e-services requires. The resident has a password already. */
export async function signInMoreSafely({ urls, step, signal }: Story): Promise<void> {
  const { email } = residents.onMapListOnly;
  const [resident, elsewhere] = [new Browser({ signal }), new Browser({ signal })];
  let secret = '';
  let recoveryCode = '';

  await step(
    'an e-service may ask for two steps: who is signed in by a password alone is led to set one up',
    async () => {
      await signIn(resident, await goToSignIn(resident, urls.kartta), { email });
      const lacking = await goToSignIn(resident, urls.terveys);
      at(lacking, { url: urls.tunnus, status: 200, words: ['Tarvitset toisen vaiheen'] });
      const ways = await press(resident, lacking, 'Ota käyttöön');
      at(ways, { url: `${urls.tunnus}/account/factors`, words: ['Lisää pääsyavain'] });
      const page = await press(resident, ways, 'Ota todennussovellus käyttöön');
      secret = /(?:[A-Z2-7]{4} )+[A-Z2-7]{2,4}/.exec(page.text)?.[0] ?? '';
      const added = await resident.submit(page, { 'one-time-code': codeOfApp(secret, new Date()) });
      at(added, { url: urls.tunnus, status: 200, words: ['Todennussovellus on käytössä.'] });
      const codes = await resident.submit(added);
      recoveryCode = /\b[a-z0-9]{5}-[a-z0-9]{5}\b/.exec(codes.text)?.[0] ?? '';
      const own = await press(resident, codes, 'Jatka kirjautumista');
      at(own, { url: urls.terveys, status: 200, words: [email, words.twoSteps] });
    },
  );

  await step('from then on a password is followed by the code of the app, and a code is good once', async () => {
    const code = codeOfApp(secret, new Date(), { ahead: 1 });
    const page = await signIn(elsewhere, await goToSignIn(elsewhere, urls.terveys), { email, code });
    at(page, { url: urls.terveys, status: 200, words: [words.twoSteps] });
    const other = new Browser({ signal });
    at(await signIn(other, await goToSignIn(other, urls.kartta), { email, code }), { url: urls.tunnus, status: 422 });
  });

  await step('without the telephone a recovery code lets in, and a mail tells how many are left', async () => {
    const browser = new Browser({ signal });
    const page = await signIn(browser, await goToSignIn(browser, urls.kartta), { email, code: recoveryCode });
    at(page, { url: urls.kartta, status: 200 });
    await waitForMail(urls.mailbox, { to: email, saying: 'Varakoodeja on jäljellä 9', signal });
  });

  await step('the resident removes the app again', async () => {
    const ways = await elsewhere.open(`${urls.tunnus}/account/factors`);
    const page = await elsewhere.submit(ways, {}, 'Poista todennussovellus');
    at(page, {
      url: `${urls.tunnus}/account/factors`,
      words: ['Muutos on tallennettu.', 'Ota todennussovellus käyttöön'],
    });
  });
}

/** Who is on no list. */
export async function comeAsNew({ urls, step, signal }: Story): Promise<void> {
  const email = residents.unknown.email;
  const resident = new Browser({ signal });

  await step('who is on no list makes an account, behind a link to the address', async () => {
    const first = await goToSignIn(resident, urls.asiointi);
    const asked = await press(resident, await resident.submit(first, { username: email }), 'Luo uusi käyttäjätunnus');
    at(await resident.submit(asked, { username: email }), { url: urls.tunnus, status: 200, words: [email] });
    const link = await waitForLink(urls.mailbox, { to: email, path: '/new-account/', signal });
    const form = await resident.open(link);
    assert.ok(tokens(form).includes('new-password'), 'a password is asked for');
    const made = await resident.submit(form, {
      'given-name': 'Suvi',
      'family-name': 'Niemi',
      'new-password': password,
    });
    at(made, { url: urls.tunnus, status: 200, words: ['Käyttäjätunnuksesi on luotu'] });
    const own = await signIn(resident, await press(resident, made, 'Siirry kirjautumaan'), { email });
    at(own, { url: urls.asiointi, status: 200, words: ['Suvi Niemi', words.noHistory] });
  });

  await step('who leaves is signed out everywhere and has two weeks: signing in keeps the account', async () => {
    const page = await resident.open(`${urls.tunnus}/account/leave`);
    const left = await resident.submit(page, { sure: 'yes' }, 'Poista käyttäjätunnus');
    at(left, { url: urls.tunnus, status: 200, words: [email, 'Jos muutat mielesi, kirjaudu sisään'] });
    at(await signIn(resident, await signInAnew(resident, urls.asiointi), { email }), { url: urls.asiointi });
    await waitForMail(urls.mailbox, { to: email, saying: 'joten sitä ei poisteta', signal });
  });
}
