/**
 * Owns the rules of e-mail addresses: when two are one, which are none, which imitate another, which are likely a slip.
 *
 * Addresses compare in NFC and lower case, with the domain in IDNA ASCII form. Whatever Unicode would fold onto ASCII in a
 * local part (Kelvin sign, full-width letters) is no address at all: taking it for the plain letter would make two addresses
 * one, keeping it apart would make one two. Mail never goes to a typed address, so no mapping here can redirect a link.
 */
import { domainToASCII, domainToUnicode } from 'node:url';
import { distance } from '../platform/edit-distance.ts';

const LONGEST = 254; // RFC 5321, 4.5.3.1.3, without the angle brackets
const LONGEST_LOCAL = 64;
const EDGES = /^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$/g; // what copying from a page or a spreadsheet brings along
// Quoted local parts are left out on purpose: nobody has one, and mail software disagrees on where they end.
const LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~\p{L}\p{M}\p{N}-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~\p{L}\p{M}\p{N}-]+)*$/u;
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/;
const PLAIN = /^[\x21-\x7e]+$/;
const ENCODED_LABEL = /[@.]xn--/i;
// Nearly all are written so; in these characters nothing is mapped but the case.
const PLAIN_ADDRESS =
  /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$/;
// Only what may stand in a name: domainToASCII would also decode %61, and drop what cannot be seen.
const DOMAIN_AS_WRITTEN = /^[\p{L}\p{M}\p{N}.\u3002\uff0e\uff61-]+$/u;

function withoutEdges(typed: string): string {
  return PLAIN.test(typed) ? typed : typed.replace(EDGES, '');
}

function lowerCase(text: string): string {
  // By code point: at the end of a word toLowerCase alone would give another sigma.
  return [...text]
    .map((char) => char.toLowerCase())
    .join('')
    .replaceAll('ς', 'σ')
    .normalize('NFC');
}

/** True where Unicode folds a character that is not ASCII onto one that is. */
function foldsToAscii(local: string): boolean {
  return [...local].some((char) => char > '\x7f' && /^\p{ASCII}+$/u.test(char.normalize('NFKC').toLowerCase()));
}

const isPlainAddress = (written: string): boolean =>
  PLAIN_ADDRESS.test(written) &&
  written.length <= LONGEST &&
  written.indexOf('@') <= LONGEST_LOCAL &&
  !ENCODED_LABEL.test(written);

/** The form that addresses compare in; undefined: that is no address, or none that may be mapped onto another. */
export function canonicalAddress(typed: string): string | undefined {
  if (typed.length > 4 * LONGEST) return undefined;
  const written = withoutEdges(typed);
  if (isPlainAddress(written)) return written.toLowerCase();
  const at = written.indexOf('@');
  if (at < 1 || at !== written.lastIndexOf('@')) return undefined;
  const [writtenLocal, writtenDomain] = [written.slice(0, at), written.slice(at + 1)];
  if (foldsToAscii(writtenLocal) || !DOMAIN_AS_WRITTEN.test(writtenDomain)) return undefined;
  const local = lowerCase(writtenLocal.normalize('NFC'));
  const domain = domainToASCII(writtenDomain.normalize('NFC'));
  if (!LOCAL.test(local) || Buffer.byteLength(local) > LONGEST_LOCAL || !DOMAIN.test(domain)) return undefined;
  const address = `${local}@${domain}`;
  return Buffer.byteLength(address) <= LONGEST ? address : undefined;
}

/** The address as it was written, for showing it and for mail. */
export function displayAddress(typed: string): string {
  return PLAIN.test(typed) ? typed : withoutEdges(typed).normalize('NFC');
}

// Lower-case letters that pass for ASCII ones (from Unicode's confusables, those that occur in fonts for text).
const PASSES_FOR = new Set('аеорсухіјѕһԁԛԝкӏοανρτυικεγχıȷɑɡօսցհո');
const SCRIPTS = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u];

function imitates(label: string): boolean {
  if (!/\P{ASCII}/u.test(label)) return false;
  const scripts = SCRIPTS.filter((script) => script.test(label)).length;
  return scripts > 1 || [...label].every((char) => char <= '\x7f' || PASSES_FOR.has(char));
}

/** True for an address that imitates another: letters of several scripts in one label, or all of them passing for ASCII. */
export function mixedScript(canonical: string): boolean {
  if (PLAIN.test(canonical) && !ENCODED_LABEL.test(canonical)) return false;
  const [local = '', domain = ''] = canonical.split('@');
  return imitates(local) || domainToUnicode(domain).split('.').some(imitates);
}

const WELL_KNOWN = (
  'gmail.com googlemail.com hotmail.com hotmail.fi outlook.com live.com live.fi msn.com icloud.com me.com mac.com yahoo.com ' +
  'yahoo.fi ymail.com mail.com email.com gmx.com gmx.net aol.com proton.me protonmail.com pm.me luukku.com kolumbus.fi ' +
  'elisanet.fi saunalahti.fi suomi24.fi welho.com pp.inet.fi inet.fi netti.fi nic.fi dnainternet.net telia.com telia.fi ' +
  'jippii.fi wippies.fi surffi.fi phnet.fi pp1.inet.fi kotinet.com mbnet.fi iki.fi aland.net multi.fi anvianet.fi netikka.fi ' +
  'hel.fi helsinki.fi edu.hel.fi aalto.fi tuni.fi utu.fi jyu.fi oulu.fi abo.fi hotmail.se outlook.fi live.se'
).split(' ');

/** 'Did you mean …?': the same address at the well-known mail domain that this one nearly is. */
export function suggestion(address: string): string | undefined {
  const domain = canonicalAddress(address)?.split('@')[1];
  if (!domain || WELL_KNOWN.includes(domain)) return undefined;
  const near = WELL_KNOWN.map((known) => {
    // Short names have honest neighbours: 'lieto.fi' is no slip of 'live.fi'.
    const limit = known.length < 7 ? 0 : known.length < 9 || known[0] !== domain[0] ? 1 : 2;
    return { known, limit, steps: distance(domain, known, limit) };
  })
    .filter(({ limit, steps }) => steps <= limit)
    .sort((a, b) => a.steps - b.steps);
  const written = displayAddress(address);
  return near[0] && `${written.slice(0, written.indexOf('@'))}@${near[0].known}`;
}
