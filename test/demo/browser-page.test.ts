import { describe, expect, test } from '@jest/globals';
import { parsePage } from '../../src/demo/browser-page.ts';

const source = `<!doctype html>
<html lang="fi">
<head><title>Kirjaudu &amp; jatka</title><style>a > b {}</style></head>
<body>
<header><form method="get" action="/"><button>Svenska</button></form><form method="post" action="/outside"><button>Ulos</button></form></header>
<main>
  <h1>Kirjaudu <em>sisään</em></h1>
  <form method="get"><input name="q"></form>
  <form action="/sign-in/x?y=1&amp;z=2" method="POST">
    <input type="hidden" name="csrf" value="a&quot;b">
    <input name=username type=email autocomplete="section-a username webauthn" value="suvi@example.com" readonly>
    <input type="checkbox" name="off"><input type="checkbox" name="on" value="1" checked>
    <button type="button">N&auml;yt&auml;</button>
    <button name="go" value="on">Jatka <span>eteenp&#228;in</span></button><button name="back" value="1">Takaisin</button>
  </form>
  <p>Osoite: <a href="../account">suvi@<wbr>example.com</a> 3 &lt; 4</p>
</main></body></html>`;

describe('a page read by the small browser', () => {
  const page = parsePage({ url: 'http://localhost:3000/sign-in/x', status: 200, html: source });

  test('has its language, title, heading, text and links', () => {
    expect(page).toMatchObject({ language: 'fi', title: 'Kirjaudu & jatka', heading: 'Kirjaudu sisään' });
    expect(page.text).toContain('3 < 4');
    expect(page.text).not.toContain('a > b');
    expect(page.links).toEqual([{ href: 'http://localhost:3000/account', text: 'suvi@example.com' }]);
  });

  test('has for main form the first that posts inside main', () => {
    expect(page.forms.map(({ button }) => button)).toEqual(['Ulos', 'Jatka eteenpäin']);
    expect(page.mainForm?.action).toBe('http://localhost:3000/sign-in/x?y=1&z=2');
  });

  test('sends what a browser would: ticked boxes, read-only fields and the first submit button', () => {
    expect(page.mainForm?.fields.map(({ name, value, autocomplete }) => [name, value, autocomplete])).toEqual([
      ['csrf', 'a"b', ''],
      ['username', 'suvi@example.com', 'username'],
      ['on', '1', ''],
      ['go', 'on', ''],
    ]);
  });
});
