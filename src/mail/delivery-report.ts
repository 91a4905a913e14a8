/**
 * Owns the reading of delivery reports (RFC 3464, in the wrapping of RFC 6522): which of our mails one tells of, and whether it
 * failed for good. What it reads is a stranger's: nothing of it is believed but an id that only a mail of ours carries.
 */
import PostalMime, { type Attachment } from 'postal-mime';

export interface DeliveryReport {
  /** The mail's id, as ENVID or Message-ID. */
  id: string;
  /** RFC 3463. */
  status?: string;
}

/** In bytes. A report holds a few words and the headers of a mail. */
export const LONGEST_REPORT = 1_000_000;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/** The report that a mail is, where it says that a mail of ours failed for good. */
export async function readReport(raw: Uint8Array): Promise<DeliveryReport | undefined> {
  const options = {
    forceRfc822Attachments: true,
    attachmentEncoding: 'utf8',
    maxNestingDepth: 10,
    maxHeadersSize: 100_000,
  } as const;
  const mail = await PostalMime.parse(raw, options).catch(() => undefined);
  const partOf = (...types: string[]): string | undefined =>
    mail?.attachments.filter(({ mimeType }) => types.includes(mimeType)).map(textOf)[0];
  const told = partOf('message/delivery-status', 'message/global-delivery-status');
  if (told === undefined) return undefined;

  // A group of fields for the mail, then one for each recipient: ours have one.
  const [ofMail = new Map<string, string>(), ...ofRecipients] = told.split(/\r?\n\s*\r?\n/).map(fieldsOf);
  const failed = [...ofRecipients, ofMail].find((fields) => fields.get('action')?.toLowerCase() === 'failed');
  if (!failed) return undefined;
  const returned = partOf('text/rfc822-headers', 'message/rfc822', 'message/global-headers', 'message/global');
  const headers = fieldsOf(returned?.split(/\r?\n\r?\n/, 1)[0] ?? '');
  const id =
    new RegExp(`^${UUID}$`, 'i').exec(ofMail.get('original-envelope-id') ?? '')?.[0] ??
    new RegExp(`^<(${UUID})@[^>\\s]+>$`, 'i').exec(headers.get('message-id') ?? '')?.[1];
  const status = /^[245]\.\d{1,3}\.\d{1,3}(?!\S)/.exec(failed.get('status') ?? '')?.[0];
  return id === undefined ? undefined : { id: id.toLowerCase(), status };
}

/** By name in small letters, the first of each name, unfolded (RFC 5322, 2.2.3). */
function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    if (colon > 0 && !fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

const textOf = ({ content }: Attachment): string =>
  typeof content === 'string' ? content : new TextDecoder().decode(content);
