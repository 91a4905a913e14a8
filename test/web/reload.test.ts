/** E-services are read anew while Tunnus runs: all of the new set, or none of it. */
import { rmSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import type { HttpBrowser } from '../support/http-browser.ts';
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

describe('an e-service taken out of the files', () => {
  let tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;
  let browser: HttpBrowser;
  let yaml: string;

  const userinfo = (token: string) =>
    fetch(`${world.issuer}/me`, { headers: { authorization: `Bearer ${token}` } }).then((answer) => answer.status);
  const introspected = async (name: string) => {
    const { config } = await world.relyingParty(name);
    return client.tokenIntrospection(config, tokens.access_token).catch((error: client.ResponseBodyError) => error);
  };

  beforeAll(async () => {
    await world.account({ email: 'maija@example.com', password: PASSWORD });
    browser = world.browser();
    const errand = await (await world.relyingParty('kartta')).begin();
    await browser.get(errand.url);
    await browser.submit({ username: 'maija@example.com' });
    await browser.submit({ 'current-password': PASSWORD });
    tokens = await errand.finish(browser.page.leadsTo!);
    expect(await userinfo(tokens.access_token)).toBe(200);
    yaml = await readFile(file('kartta'), 'utf8');
    await rm(file('kartta'));
    expect(await world.tunnus.reload()).toEqual([]);
  });

  test('gets nothing new: no page, no token', async () => {
    expect((await pageFor('kartta')).status).toBe(400);
    expect(await introspected('kartta')).toMatchObject({ status: 401 });
  });

  test('leaves tokens that open nothing and that nobody stumbles over (RFC 7662, 2.2)', async () => {
    expect(await userinfo(tokens.access_token)).toBe(401);
    expect(await introspected('asiointi')).toEqual({ active: false });
  });

  test('leads residents who want to sign out to our own question, and the session ends', async () => {
    const leaving = browser.newTab();
    const query = new URLSearchParams({ id_token_hint: tokens.id_token! });
    await leaving.get(`${world.issuer}/session/end?${query.toString()}`);
    expect(leaving.page.status).toBe(400);
    await leaving.follow('Kirjaudu ulos');
    await leaving.submit();
    expect(leaving.page.url.pathname).toBe('/signed-out');
  });

  test('that comes back knows its residents by the same sub', async () => {
    await writeFile(file('kartta'), yaml);
    expect(await world.tunnus.reload()).toEqual([]);
    const errand = await (await world.relyingParty('kartta')).begin();
    const again = world.browser();
    await again.get(errand.url);
    await again.submit({ username: 'maija@example.com' });
    await again.submit({ 'current-password': PASSWORD });
    const anew = await errand.finish(again.page.leadsTo!);
    expect(anew.claims()!.sub).toBe(tokens.claims()!.sub);
  });
});

describe('while requests are under way', () => {
  test('a reload drops none of them', async () => {
    const metadata = {
      client_name: 'Uusi',
      client_secret: CLIENT_SECRET,
      redirect_uris: ['https://uusi.example/callback'],
    };
    let running = true;
    const statuses: number[] = [];
    const stream = Array.from({ length: 4 }, async () => {
      while (running) statuses.push((await pageFor('asiointi')).status);
    });
    for (let round = 0; round < 20; round++) {
      // New, changed, gone, and every third time wrong.
      if (round % 3 === 2) await writeFile(file('uusi'), 'client_id: 5');
      else await writeFile(file('uusi'), JSON.stringify({ client_id: `uusi-${round}`, ...metadata }));
      expect((await world.tunnus.reload()).length > 0).toBe(round % 3 === 2);
    }
    running = false;
    await Promise.all(stream);
    await rm(file('uusi'));
    expect(statuses.length).toBeGreaterThan(20);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  test('of two reloads at once the later one holds', async () => {
    const metadata = {
      client_name: 'Moni',
      client_secret: CLIENT_SECRET,
      redirect_uris: ['https://moni.example/callback'],
    };
    const many = Array.from({ length: 30 }, (_, index) => `moni-${index}`);
    for (const id of many) await writeFile(file(id), JSON.stringify({ client_id: id, ...metadata }));
    const reloads = [world.tunnus.reload()];
    // The first has read its files and is busy with them.
    await Promise.resolve();
    for (const id of many) rmSync(file(id));
    reloads.push(world.tunnus.reload());
    expect(await Promise.all(reloads)).toEqual([[], []]);
    const query = new URLSearchParams({ client_id: 'moni-1', redirect_uri: metadata.redirect_uris[0]! });
    expect((await fetch(`${world.issuer}/auth?${query.toString()}`, { redirect: 'manual' })).status).toBe(400);
  });

  test('a sign-in that began before it ends after it', async () => {
    const errand = await (await world.relyingParty('asiointi')).begin();
    const browser = world.browser();
    await browser.get(errand.url);
    await browser.submit({ username: 'maija@example.com' });
    expect(await world.tunnus.reload()).toEqual([]);
    await browser.submit({ 'current-password': PASSWORD });
    expect(await world.tunnus.reload()).toEqual([]);
    expect((await errand.finish(browser.page.leadsTo!)).access_token).toBeTruthy();
  });
});

test('each sample loads as it stands', async () => {
  const samples = fileURLToPath(new URL('../../config/clients/', import.meta.url));
  const names = (await readdir(samples)).filter((name) => name.endsWith('.sample'));
  const variables = ['LIBRARY_CLIENT_SECRET', 'PARKING_LOADER_SECRET'];
  for (const name of variables) process.env[name] = CLIENT_SECRET;
  for (const name of names) await copyFile(join(samples, name), file(name.replace('.yaml.sample', '')));
  expect(await world.tunnus.reload()).toEqual([]);
  for (const name of variables) delete process.env[name];
  for (const name of names) await rm(file(name.replace('.yaml.sample', '')));
  expect(names.sort()).toEqual(
    ['fapi', 'machine', 'native', 'server-side', 'single-page'].map((kind) => `${kind}.yaml.sample`),
  );
});
