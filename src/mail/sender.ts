/**
 * Owns what DNS must say so that mails from `mail.from` are believed: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489). Looks, and
 * changes nothing.
 */
import { createPublicKey } from 'node:crypto';
import { Resolver as DnsResolver } from 'node:dns/promises';
import type { Config } from '../config.ts';
import { domainOf } from '../config.ts';

export type Resolver = Pick<DnsResolver, 'resolveTxt'>;

interface Seen {
  good: string[];
  weak: string[];
}

/** Milliseconds for one answer. */
const PATIENCE = 2_000;

/** The texts under a name; `undefined` where DNS did not answer. */
async function textsOf(resolver: Resolver, name: string): Promise<string[] | undefined> {
  try {
    return (await resolver.resolveTxt(name)).map((pieces) => pieces.join(''));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOTFOUND' || code === 'ENODATA' ? [] : undefined;
  }
}

export async function lookAtSender(
  { from, dkim }: Pick<Config['mail'], 'from' | 'dkim'>,
  resolver: Resolver = new DnsResolver({ timeout: PATIENCE, tries: 1 }),
): Promise<Seen> {
  const domain = domainOf(from);
  const seen: Seen = { good: [], weak: [] };
  // Names that DNS does not have.
  if (!domain.includes('.') || /\.(localhost|test|example|invalid)$/.test(domain)) return seen;
  const looks = [lookAtSpf(resolver, domain), lookAtDkim(resolver, dkim), lookAtDmarc(resolver, domain)];
  for (const { good, weak } of await Promise.all(looks)) {
    seen.good.push(...good);
    seen.weak.push(...weak);
  }
  return seen;
}

const good = (line: string): Seen => ({ good: [line], weak: [] });
const weak = (line: string): Seen => ({ good: [], weak: [line] });
const silent = (what: string, name: string): Seen => weak(`${what}: DNS did not answer about ${name}`);

async function lookAtSpf(resolver: Resolver, domain: string): Promise<Seen> {
  const texts = await textsOf(resolver, domain);
  if (!texts) return silent('SPF', domain);
  const [record, second] = texts.filter((text) => /^v=spf1( |$)/i.test(text));
  if (!record)
    return weak(`SPF: ${domain} has no v=spf1 record that names the mail server; many will not believe its mails`);
  if (second) return weak(`SPF: ${domain} has more than one v=spf1 record, so none counts (RFC 7208, 4.5)`);
  if (/ \+?all\b/i.test(record)) return weak(`SPF: ${domain} lets everybody send (+all)`);
  return good(`SPF: ${domain} has a record; that it names your mail server only a mail shows`);
}

async function lookAtDkim(resolver: Resolver, dkim: Config['mail']['dkim']): Promise<Seen> {
  if (!dkim) return weak('DKIM: mail.dkim is not set; see to it that the mail server signs (tunnus mail test ADDRESS)');
  const name = `${dkim.selector}._domainkey.${dkim.domain}`;
  const texts = await textsOf(resolver, name);
  if (!texts) return silent('DKIM', name);
  const published = texts.map((text) => /(?:^|;)\s*p=([^;]*)/.exec(text)?.[1]?.replace(/\s/g, '')).find(Boolean);
  const own = createPublicKey(dkim.key).export({ type: 'spki', format: 'der' }).toString('base64');
  if (!published) return weak(`DKIM: there is no key under ${name}; publish "v=DKIM1; k=rsa; p=${own}"`);
  return published === own
    ? good(`DKIM: ${name} has our key`)
    : weak(
        `DKIM: ${name} has another key than mail.dkim.key, so every signature fails; ours is "v=DKIM1; k=rsa; p=${own}"`,
      );
}

async function lookAtDmarc(resolver: Resolver, domain: string): Promise<Seen> {
  // The record of a domain holds for the names under it (RFC 7489, 6.6.3).
  const labels = domain.split('.');
  for (let first = 0; labels.length - first >= 2; first += 1) {
    const name = `_dmarc.${labels.slice(first).join('.')}`;
    const texts = await textsOf(resolver, name);
    if (!texts) return silent('DMARC', name);
    const record = texts.find((text) => /^v=DMARC1\s*(;|$)/i.test(text));
    if (record) {
      const policy = /;\s*p=(\w+)/i.exec(record)?.[1]?.toLowerCase();
      return policy === 'none'
        ? weak(`DMARC: ${name} has p=none; anybody may send as ${domain} (quarantine or reject keeps them out)`)
        : good(`DMARC: ${name} has p=${policy ?? '?'}`);
    }
  }
  return weak(`DMARC: ${domain} has no record under _dmarc; large providers want one`);
}
