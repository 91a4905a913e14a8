/** E-services are read anew while Tunnus runs: all of the new set, or none of it. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const file = (name: string): string => join(world.config.folder, 'clients', `${name}.yaml`);

async function pageFor(clientId: string) {
  const query = new URLSearchParams({
    client_id: clientId,
    redirect_uri: `https://${clientId}.example/callback`,
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  });
  const browser = world.browser();
  await browser.get(`${world.issuer}/auth?${query.toString()}`);
  return browser.page;
}

test('a new e-service can sign residents in, without a restart', async () => {
  expect((await pageFor('uusi')).status).toBe(400);
  const metadata = {
    client_id: 'uusi',
    client_secret: CLIENT_SECRET,
    client_name: 'Uusi palvelu',
    redirect_uris: ['https://uusi.example/callback'],
  };
  await writeFile(file('uusi'), JSON.stringify(metadata));
  expect(await world.tunnus.reload()).toEqual([]);
  const page = await pageFor('uusi');
  expect(page.status).toBe(200);
  expect(page.text).toContain('Uusi palvelu');
});

test('with one file wrong the old set stays whole, and the fault is told with file and line', async () => {
  await writeFile(
    file('rikki'),
    'client_id: rikki\nclient_name: Rikki\nclient_secret: short\nredirect_uris: [https://rikki.example/callback]\n',
  );
  await rm(file('uusi'));
  const faults = await world.tunnus.reload();
  expect(faults).toMatchObject([{ line: 3 }]);
  expect(faults[0]!.file).toContain('rikki.yaml');
  expect(world.log.some((line) => line.includes('rikki.yaml:3'))).toBe(true);
  expect((await pageFor('uusi')).status).toBe(200);
  await rm(file('rikki'));
});

test('both secrets are good while one is being changed', async () => {
  const metadata = JSON.parse(await readFile(file('bare'), 'utf8')) as Record<string, unknown>;
  const second = 'the new secret of thirty-two characters, or more';
  await writeFile(file('bare'), JSON.stringify({ ...metadata, client_secret: [second, CLIENT_SECRET] }));
  expect(await world.tunnus.reload()).toEqual([]);
  for (const secret of [second, CLIENT_SECRET]) {
    const answer = await fetch(`${world.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`bare:${encodeURIComponent(secret)}`).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: 'x',
        redirect_uri: 'https://bare.example/callback',
      }),
    });
    expect(await answer.json()).toMatchObject({ error: 'invalid_grant' });
  }
});

test('one taken out gets nothing new, and what it was given still answers', async () => {
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  const kartta = await world.relyingParty('kartta');
  const asiointi = await world.relyingParty('asiointi');
  const browser = world.browser();
  const errand = await kartta.begin();
  await browser.get(errand.url);
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);

  await rm(file('kartta'));
  expect(await world.tunnus.reload()).toEqual([]);
  const anew = await kartta.begin();
  expect((await browser.get(anew.url)).status).toBe(400);
  // RFC 7662: another client's question is answered, never by a fault.
  const asked = await client.tokenIntrospection(asiointi.config, tokens.access_token);
  expect(typeof asked.active).toBe('boolean');
});
