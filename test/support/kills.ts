/**
 * A provider that is killed at random moments of a resident's way in, and started anew. After each kill the database holds
 * nothing half-done, and the same resident gets in all the same.
 */
import { rm } from 'node:fs/promises';
import { expect } from '@jest/globals';
import * as client from 'openid-client';
import { sql, type Database } from '../../src/platform/database.ts';
import { folderOf } from './command.ts';
import { testDatabase } from './database.ts';
import { HttpBrowser } from './http-browser.ts';
import { startMailbox, type Mailbox } from './mailbox.ts';
import { serve, type Serving } from './serving.ts';
import { freePort } from '../../src/demo/ports.ts';
import { CLIENT_SECRET, SECRET } from './world.ts';

const REDIRECT_URI = 'https://asiointi.example/callback';
const PASSWORD = 'kolme vihreää omenaa pöydällä';
/** A whole way in takes less; a kill past its end hits the provider at rest. */
const LONGEST_WAY = 900;

/** Kills so many times; the moments follow from the seed. */
export async function killAtRandom({ times, seed }: { times: number; seed: number }): Promise<void> {
  const [place, mailbox, port] = await Promise.all([testDatabase(), startMailbox(), freePort()]);
  const folder = await configure({ port, databaseUrl: place.url, mailUrl: mailbox.url });
  const random = randomFrom(seed);
  const issuer = `http://127.0.0.1:${port}`;
  let serving: Serving = await serve(folder);
  try {
    for (let kill = 0; kill < times; kill += 1) {
      const email = `kill${kill}@example.com`;
      const { database } = place;
      const [account] = await database.query<{ id: string }>(sql`
        insert into accounts (email, email_key, created_at, updated_at) values (${email}, ${email}, now(), now()) returning id`);
      const walk = wayIn({ issuer, email, mailbox }).catch(() => undefined);
      const moment = Math.floor(random() * LONGEST_WAY);
      await Promise.race([walk, new Promise((resolve) => setTimeout(resolve, moment))]);
      serving.process.kill('SIGKILL');
      await Promise.all([serving.ended, walk]);
      await nothingHalfDone(database, account!.id);
      serving = await serve(folder);
      expect(await wayIn({ issuer, email, mailbox })).toEqual(account!.id);
      await nothingHalfDone(database, account!.id);
    }
  } finally {
    serving.process.kill('SIGKILL');
    await serving.ended;
    await Promise.all([mailbox.close(), place.drop(), rm(folder, { recursive: true })]);
  }
}

function configure({
  port,
  databaseUrl,
  mailUrl,
}: Record<'databaseUrl' | 'mailUrl', string> & { port: number }): Promise<string> {
  const settings = {
    issuer: `http://127.0.0.1:${port}`,
    secret: SECRET,
    listen: { port, metricsPort: 0 },
    database: { url: databaseUrl },
    mail: { url: mailUrl },
    // Whoever is killed asks for a link more often than a resident would.
    limits: { linksPerAddress: 5 },
  };
  const asiointi = {
    client_secret: CLIENT_SECRET,
    client_name: 'Asiointi',
    redirect_uris: [REDIRECT_URI],
    scope: 'openid email offline_access',
    grant_types: ['authorization_code', 'refresh_token'],
  };
  return folderOf(settings, { asiointi });
}

/** From the address to a refreshed token; sets a password by a mailed link where there is none yet. Gives the `sub`. */
async function wayIn(parts: { issuer: string; email: string; mailbox: Mailbox }): Promise<string> {
  const { issuer, email, mailbox } = parts;
  const options = { execute: [client.allowInsecureRequests] };
  const authentication = client.ClientSecretBasic(CLIENT_SECRET);
  const asiointi = await client.discovery(new URL(issuer), 'asiointi', CLIENT_SECRET, authentication, options);
  const browser = new HttpBrowser();
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const begin = async (): Promise<void> => {
    const parameters = {
      redirect_uri: REDIRECT_URI,
      scope: 'openid email',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    };
    await browser.get(client.buildAuthorizationUrl(asiointi, parameters));
    await browser.submit({ username: email });
  };
  await begin();
  if (browser.page.url.pathname.endsWith('/link-sent')) {
    // A mail that the killed process was just handing over may come late: whoever waits asks again.
    const mail = await mailbox.next({ to: email, within: 1_000 }).catch(async () => {
      await browser.submit();
      return mailbox.next({ to: email });
    });
    await browser.get(mail.links[0]!);
    await browser.submit({ 'new-password': PASSWORD });
    await begin();
  }
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await client.authorizationCodeGrant(asiointi, browser.page.leadsTo!, { pkceCodeVerifier });
  return (await client.refreshTokenGrant(asiointi, tokens.refresh_token!)).claims()!.sub;
}

/** What belongs together was written together: no link, password, mail, session, code or grant stands without its others. */
async function nothingHalfDone(database: Database, accountId: string): Promise<void> {
  const [account] = await database.query(sql`
    with links as (select * from links where account_id = ${accountId}),
      audit as (select kind from audit where account_id = ${accountId}),
      artifacts as (select * from artifacts where account_id = ${accountId})
    select
      (select count(*) from links) = (select count(*) from audit where kind = 'link_requested') as "each link has its audit row",
      (select count(*) from links where spent_at is not null) = (select count(*) from audit where kind = 'password_set')
        as "each spent link set a password",
      (select count(*) from links where spent_at is not null)
        = (select (password_state = 'own')::int from accounts where id = ${accountId}) as "a link is spent where a password is set",
      (select count(*) from links where spent_at is null and ended_at is null and expires_at > now()) = 0
        or (select password_state = 'none' from accounts where id = ${accountId}) as "setting the password ended the other links",
      (select count(*) from artifacts where model = 'Session') = (select count(*) from audit where kind = 'signed_in')
        as "each session has its audit row",
      not exists (select 1 from artifacts c where c.model in ('AuthorizationCode', 'AccessToken', 'RefreshToken')
        and not exists (select 1 from artifacts g where g.model = 'Grant' and g.id = c.grant_hash)) as "each code and token has its grant",
      not exists (select 1 from artifacts c where c.model = 'AuthorizationCode' and c.consumed_at is not null
        and not exists (select 1 from artifacts t where t.model = 'RefreshToken' and t.grant_hash = c.grant_hash))
        as "each spent code brought its tokens"`);
  expect(Object.entries(account!).filter(([, holds]) => !holds)).toEqual([]);
}

/** Mulberry32: the same moments for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
