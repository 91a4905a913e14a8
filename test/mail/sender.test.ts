/** What `tunnus check` says of the sender's domain, from a real DNS server; and that mails are really signed. */
import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SMTPServer } from 'smtp-server';
import { openPost } from '../../src/mail/post.ts';
import { lookAtSender } from '../../src/mail/sender.ts';
import { startDns, type Dns } from '../support/dns.ts';
import { startMailbox, type Mailbox } from '../support/mailbox.ts';

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const published = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
const dkim = { domain: 'good.fi', selector: 's1', key };

let dns: Dns;
let mailbox: Mailbox;
beforeAll(async () => {
  dns = await startDns(
    {
      'good.fi': ['something else', 'v=spf1 ip4:192.0.2.1 -all'],
      's1._domainkey.good.fi': [`v=DKIM1; k=rsa; p=${published}`],
      '_dmarc.good.fi': ['v=DMARC1; p=reject'],
      'open.fi': ['v=spf1 +all'],
      's1._domainkey.open.fi': ['v=DKIM1; p=MIIBIjANBgkq'],
      '_dmarc.open.fi': ['v=DMARC1;p=none'],
      'twice.fi': ['v=spf1 -all', 'v=spf1 mx -all'],
    },
    ['silent.fi', '_dmarc.silent.fi'],
  );
  mailbox = await startMailbox();
});
afterAll(async () => {
  await dns.close();
  await mailbox.close();
});

const limits = { perMinute: 60, perMinuteToDomain: 60, warmUp: 0 };
const look = (from: string, signed?: Partial<typeof dkim>) =>
  lookAtSender({ from, dkim: signed && { ...dkim, ...signed } }, dns.resolver());

test('a domain that has all three is good, and so is a name under it that leans on its DMARC', async () => {
  const { good, weak } = await look('Tunnus <no-reply@good.fi>', {});
  expect(weak).toEqual([]);
  expect(good.join('\n')).toMatch(
    /SPF: good\.fi.*\nDKIM: s1\._domainkey\.good\.fi has our key\nDMARC: _dmarc\.good\.fi has p=reject/,
  );
  expect((await look('no-reply@tunnus.good.fi', {})).good).toContain('DMARC: _dmarc.good.fi has p=reject');
});

test('what is missing, open to everybody or wrong is told, with the record to publish', async () => {
  const missing = (await look('a@nothing.fi', { domain: 'nothing.fi' })).weak.join('\n');
  expect(missing).toMatch(/SPF: nothing\.fi has no v=spf1 record/);
  expect(missing).toContain(`publish "v=DKIM1; k=rsa; p=${published}"`);
  expect(missing).toMatch(/DMARC: nothing\.fi has no record/);
  const open = (await look('a@open.fi', { domain: 'open.fi' })).weak.join('\n');
  expect(open).toMatch(/lets everybody send/);
  expect(open).toMatch(/another key than mail\.dkim\.key/);
  expect(open).toMatch(/p=none/);
  expect((await look('a@twice.fi')).weak.join('\n')).toMatch(/more than one v=spf1.*\nDKIM: mail\.dkim is not set/);
});

test('a DNS that does not answer is told within moments; a domain of tests is not looked up', async () => {
  const { weak } = await lookAtSender({ from: 'a@silent.fi' }, dns.resolver(200));
  expect(weak).toContain('SPF: DNS did not answer about silent.fi');
  expect(weak).toContain('DMARC: DNS did not answer about _dmarc.silent.fi');
  expect(await look('a@kaupunki.example')).toEqual({ good: [], weak: [] });
});

test('a mail is signed with the key of mail.dkim', async () => {
  const post = openPost({
    issuer: 'https://good.fi',
    mail: { url: mailbox.url, from: 'no-reply@good.fi', dkim, limits },
  });
  const letter = { to: 'a@example.fi', language: 'fi', brand: 'K', subject: 's', text: 't', html: '<p>t</p>' };
  expect(await post.send(letter, randomUUID())).toMatchObject({ reply: 250 });
  post.close();
  const { headers } = await mailbox.next();
  expect(headers['dkim-signature']).toMatch(/v=1; a=rsa-sha256; .*d=good\.fi;.*s=s1;/s);
  expect(headers['dkim-signature']).toMatch(/h=[^;]*from[^;]*/i);
});

test('a mail server on this machine is believed by its place; elsewhere, or where the URL asks, its certificate counts', async () => {
  // It offers STARTTLS with a certificate of its own making, as Debian's Postfix does.
  const server = new SMTPServer({ authOptional: true, disableReverseLookup: true, logger: false });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const reach = async (query: string) => {
    const mail = { url: `smtp://127.0.0.1:${port}${query}`, from: 'a@good.fi', limits };
    const post = openPost({ issuer: 'https://good.fi', mail });
    return post.reach().finally(() => post.close());
  };
  expect(await reach('')).toBeUndefined();
  expect(await reach('?requireTLS=true')).toMatch(/CERT.* ESOCKET/);
  await new Promise<void>((resolve) => server.close(resolve));
});
