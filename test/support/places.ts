/**
 * Every place of a running Tunnus where a stranger can write something: the forms of our pages (reached as a resident
 * reaches them, with the cookies that belong to them) and the provider's endpoints with a request that they understand.
 */
import { generateSync } from 'otplib';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from './http-browser.ts';
import { CLIENT_SECRET, type World } from './world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

/** Settings of a world that has all forms. */
export const OPEN = { signIn: { registration: 'open' } };

export interface Place {
  name: string;
  path: string;
  method: 'GET' | 'POST';
  cookies: string;
  fields: [string, string][];
  /** What else the request must have to be understood. */
  headers: Record<string, string>;
}

/** The forms of all screens that have one, in a world where residents may register (`OPEN`). */
export async function formPlaces(world: World): Promise<Place[]> {
  await world.account({ email: 'maija@example.com', password: PASSWORD, ids: { asiointi: 'U1' } });
  await world.account({ email: 'matti@example.com', password: PASSWORD });
  await world.account({ email: 'liisa@example.com', password: PASSWORD });
  await world.account({ email: 'siiri@example.com', password: PASSWORD });
  await world.account({ email: 'kaksi@example.com', password: PASSWORD });
  await world.account({ email: 'uusi@example.com' });
  await world.account({ email: 'vanha@example.com' });
  await world.account({
    email: 'epaselva@example.com',
    password: PASSWORD,
    ids: { asiointi: { id: 'U9', doubt: 'shared_email' } },
  });
  const places: Place[] = [];
  const note = (name: string, browser: HttpBrowser, button?: string): void => {
    const { action, values } = browser.page.fill({}, button ? { button } : {});
    const path = action.pathname + action.search;
    const cookies = browser.jar.headerFor(action, { withLax: true });
    places.push({ name, path, method: 'POST', cookies, fields: values, headers: {} });
  };
  const begin = async (
    email?: string,
    { client = 'asiointi', browser = world.browser() } = {},
  ): Promise<HttpBrowser> => {
    await browser.get((await (await world.relyingParty(client)).begin({ prompt: 'login' })).url);
    if (email) await browser.submit({ username: email });
    return browser;
  };
  const signIn = async (
    email: string,
    options: { client?: string; browser?: HttpBrowser } = {},
  ): Promise<HttpBrowser> => {
    const browser = await begin(email, options);
    await browser.submit({ 'current-password': PASSWORD });
    return browser;
  };

  note('the address step', await begin());
  note('the password step', await begin('maija@example.com'));
  note('the notice of a mailed link', await begin('uusi@example.com'), 'Lähetä linkki uudelleen');
  const lost = await begin('uusi@example.com');
  await lost.follow('Eikö sinulla ole enää tätä sähköpostiosoitetta?');
  note('the address of who lost theirs', lost);
  await lost.submit({ email: 'uudempi@example.com' });
  note('the name of who lost their address', lost);
  await lost.submit({ name: 'Uusi Asukas' });
  note('the request to support', lost);
  const linked = world.browser();
  await linked.get(await world.mailbox.nextLink('uusi@example.com'));
  note('the page of a mailed link', linked);
  await begin('vanha@example.com');
  await world.database.query(sql`
    update links set expires_at = created_at where account_id = (select id from accounts where email = 'vanha@example.com')`);
  const expired = world.browser();
  await expired.get(await world.mailbox.nextLink('vanha@example.com'));
  note('the page of an expired link', expired);
  note('the question of consent', await signIn('matti@example.com', { client: 'stranger' }));
  note('a tie in doubt', await signIn('epaselva@example.com'));
  const resident = await signIn('maija@example.com', { client: 'bare' });
  const own = resident.newTab();
  for (const [path, name] of Object.entries({
    details: 'the change of name, phone and language',
    email: 'the change of the address',
    password: 'the change of the password',
    data: 'the copy of all data',
    leave: 'the order to erase the account',
    authenticator: 'the setting up of an authenticator app',
    passkey: 'the setting up of a passkey',
  })) {
    await own.get(`${world.issuer}/account/${path}`);
    note(name, own);
  }
  // Of somebody else: what these do ends every other session.
  await signIn('liisa@example.com', { client: 'bare' });
  const moving = await signIn('liisa@example.com', { client: 'bare' });
  await moving.get(`${world.issuer}/account/sessions`);
  note('the end of a session', moving);
  await moving.get(`${world.issuer}/account/email`);
  await moving.submit({ email: 'liisan.uusi@example.com' });
  await moving.get(await world.mailbox.nextLink('liisan.uusi@example.com'));
  note('the page that confirms an address', moving);
  const moved = await signIn('siiri@example.com', { client: 'bare' });
  await moved.get(`${world.issuer}/account/email`);
  await moved.submit({ email: 'siirin.uusi@example.com' });
  await moved.get(await world.mailbox.nextLink('siirin.uusi@example.com'));
  await moved.submit();
  await moved.get(await world.mailbox.nextLink('siiri@example.com'));
  note('the page that undoes a change of the address', moved);
  const stepping = await signIn('kaksi@example.com', { client: 'bare' });
  const app = await stepping.get(`${world.issuer}/account/authenticator`);
  const secret = app.root.querySelector('.key')!.text.replaceAll(' ', '');
  const epoch = Math.floor(world.clock.now().getTime() / 1000);
  await stepping.submit({ 'one-time-code': generateSync({ secret, epoch }) });
  note('the making of new recovery codes', stepping);
  await stepping.get(`${world.issuer}/account/factors`);
  note('the removal of a factor', stepping);
  note('the second step', await signIn('kaksi@example.com'));
  const newcomer = await begin('tulokas@example.com');
  await newcomer.get(newcomer.page.url.href.replace(/unknown-address$/, 'register'));
  note('the registration', newcomer);
  await newcomer.submit({ email: 'tulokas@example.com' });
  await newcomer.get(await world.mailbox.nextLink('tulokas@example.com'));
  note('the making of an account', newcomer);
  const agreed = await signIn('maija@example.com', { client: 'stranger' });
  await agreed.submit();
  await agreed.get(`${world.issuer}/account/services`);
  note('the withdrawal of an agreement', agreed);
  await own.get(`${world.issuer}/session/end`);
  note('the question before signing out', own);
  note('the question of another person', await signIn('matti@example.com', { browser: resident }));
  return places;
}

const BASIC = `Basic ${Buffer.from(`asiointi:${encodeURIComponent(CLIENT_SECRET)}`).toString('base64')}`;

const AUTHORIZATION: [string, string][] = [
  ['client_id', 'asiointi'],
  ['redirect_uri', 'https://asiointi.example/callback'],
  ['response_type', 'code'],
  ['scope', 'openid email'],
  ['state', 'a state'],
  ['nonce', 'a nonce'],
  ['code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'],
  ['code_challenge_method', 'S256'],
];
const WISHES = [
  'prompt',
  'max_age',
  'ui_locales',
  'login_hint',
  'acr_values',
  'id_token_hint',
  'claims',
  'display',
].concat([
  'response_mode',
  'request',
  'request_uri',
  'registration',
  'resource',
  'dpop_jkt',
  'claims_locales',
  'lang',
  'x',
]);

/** Names that belong to an endpoint without standing in the request that it understands. */
export const MORE_NAMES: Readonly<Record<string, readonly string[]>> = {
  '/auth': WISHES,
  '/request': WISHES,
  '/token': [
    'refresh_token',
    'client_id',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
    'scope',
    'resource',
  ],
  '/me': ['access_token'],
  '/token/introspection': ['client_id', 'client_secret', 'token_type_hint', 'client_assertion'],
  '/token/revocation': ['client_id', 'client_secret', 'token_type_hint', 'client_assertion'],
  '/session/end': ['id_token_hint', 'logout_hint', 'ui_locales', 'state'],
};

/** The provider's endpoints. */
export function endpointPlaces(): Place[] {
  const place = (name: string, request: string, rest: Partial<Place> = {}): Place => {
    const [method, path] = request.split(' ') as ['GET' | 'POST', string];
    return { name: `${method} ${name}`, path, method, cookies: '', fields: [], headers: {}, ...rest };
  };
  const asClient = { headers: { Authorization: BASIC } };
  const token: [string, string][] = [['token', 'no token']];
  return [
    place('authorization', 'GET /auth', { fields: AUTHORIZATION }),
    place('authorization', 'POST /auth', { fields: AUTHORIZATION }),
    place('pushed request', 'POST /request', { fields: AUTHORIZATION, ...asClient }),
    place('token', 'POST /token', {
      ...asClient,
      fields: [
        ['grant_type', 'authorization_code'],
        ['code', 'no code'],
        ['redirect_uri', 'https://asiointi.example/callback'],
        ['code_verifier', 'a'.repeat(43)],
      ],
    }),
    place('userinfo', 'GET /me', { headers: { Authorization: 'Bearer nothing' } }),
    place('userinfo', 'POST /me', { fields: [['access_token', 'nothing']] }),
    place('introspection', 'POST /token/introspection', { fields: token, ...asClient }),
    place('revocation', 'POST /token/revocation', { fields: token, ...asClient }),
    place('sign-out', 'GET /session/end', {
      fields: [
        ['client_id', 'asiointi'],
        ['post_logout_redirect_uri', 'https://asiointi.example/signed-out'],
      ],
    }),
    place('sign-out', 'POST /session/end', { fields: [['client_id', 'asiointi']] }),
    place('sign-out, confirmed', 'POST /session/end/confirm', {
      fields: [
        ['xsrf', 'x'],
        ['logout', 'yes'],
      ],
    }),
  ];
}

const UID = 'abcdefghijklmnopqrstu';
const TOKEN = 'x'.repeat(43);

/** Paths that stand alone; those with a name in them name nothing that there is. */
export const PATHS: readonly string[] = [
  '/',
  '/auth',
  `/auth/${UID}`,
  '/token',
  '/me',
  '/jwks',
  '/request',
  '/token/introspection',
  '/token/revocation',
  '/session/end',
  '/session/end/confirm',
  '/session/end/success',
  `/sign-in/${UID}`,
  ...'password link-sent unknown-address address-lost your-name your-services request-sent register registration-sent second-step passkey-offer locked other-person in-doubt consent nothing'
    .split(' ')
    .map((screen) => `/sign-in/${UID}/${screen}`),
  `/set-password/${TOKEN}`,
  `/set-password/${TOKEN}/link-expired`,
  `/password-set/${TOKEN}`,
  `/confirm-email/${TOKEN}`,
  `/undo-email/${TOKEN}`,
  `/keep-factors/${TOKEN}`,
  `/new-account/${TOKEN}`,
  `/account-made/${TOKEN}`,
  '/account',
  ...'details email password factors passkey authenticator recovery-codes sessions sign-ins services data leave signed-in'
    .split(' ')
    .map((page) => `/account/${page}`),
  '/signed-out',
  '/assets/page.css',
  '/assets/nothing',
  '/health/live',
  '/health/ready',
  '/health/other',
  '/.well-known/openid-configuration',
  '/.well-known/change-password',
  '/.well-known/security.txt',
  '/.well-known/other',
  '/favicon.ico',
];

export const COOKIES =
  'session session.sig sign_in form device language language_here interaction interaction.sig resume resume.sig'
    .split(' ')
    .map((name) => `tunnus_${name}`);
