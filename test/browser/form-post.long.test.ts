/** An e-service that wants its answer posted (as some frameworks do by themselves) gets it, past the page's own policy. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newVisitor, startChromium, type Browser } from '../support/browser.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme punaista venettä laiturissa';

let eService: Server;
let redirectUri: string;
let posted: URLSearchParams[];
let world: World;
let chromium: Browser;

beforeAll(async () => {
  eService = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.method === 'POST') posted.push(new URLSearchParams(body));
      response.setHeader('content-type', 'text/html; charset=utf-8').end('<h1>Perillä</h1>');
    });
  });
  await new Promise<void>((resolve) => eService.listen(0, '127.0.0.1', resolve));
  redirectUri = `http://127.0.0.1:${(eService.address() as AddressInfo).port}/callback`;
  world = await startWorld({
    clients: {
      posted: { client_name: 'Posti', redirect_uris: [redirectUri], scope: 'openid', subject_type: 'public' },
    },
  });
  await world.account({ email: 'suvi@example.com', password: PASSWORD });
  chromium = await startChromium();
});
afterAll(async () => {
  await chromium.close();
  await world.close();
  await new Promise((resolve) => eService.close(resolve));
});

test.each([true, false])('JavaScript: %s', async (javaScript) => {
  posted = [];
  const page = await (await newVisitor(chromium, { javaScript })).newPage();
  const { url } = await (await world.relyingParty('posted')).begin({ scope: 'openid', response_mode: 'form_post' });
  await page.goto(url.href);
  await page.locator('main [autocomplete~="username"]').fill('suvi@example.com');
  await page.locator('main [type=submit]').first().click();
  await page.locator('main [autocomplete~="current-password"]').fill(PASSWORD);
  await page.locator('main form').first().locator('[type=submit]').first().click();
  if (!javaScript) {
    expect(await page.locator('h1').innerText()).toBe('Jatka palveluun');
    await page.locator('main [type=submit]').click();
  }
  await page.waitForURL(redirectUri);
  expect(await page.locator('h1').innerText()).toBe('Perillä');
  expect(posted.map((fields) => [...fields.keys()].sort())).toEqual([['code', 'iss', 'state']]);
  await page.context().close();
});
