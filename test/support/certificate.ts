/**
 * Certificates made on the spot for servers of tests: an authority of our own, and what it signs for 127.0.0.1 and localhost
 * with any term. X.509 in DER (RFC 5280), as much of it as TLS asks for.
 */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

export interface Certificate {
  cert: string;
  key: string;
}

export interface Authority {
  /** To be trusted. */
  ca: string;
  issue(options?: { from?: Date; until?: Date; host?: string }): Certificate;
}

const DAY = 86_400_000;

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
};
const sequence = (...parts: Uint8Array[]): Buffer => der(0x30, ...parts);
const oid = (...bytes: number[]): Buffer => der(0x06, Buffer.from(bytes));
const integer = (bytes: Uint8Array): Buffer => der(0x02, bytes);
const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const nameOf = (name: string): Buffer =>
  sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(name)))));
/** GeneralizedTime. */
const time = (date: Date): Buffer =>
  der(
    0x18,
    Buffer.from(
      date
        .toISOString()
        .replace(/[-:T]/g, '')
        .replace(/\.\d+Z/, 'Z'),
    ),
  );
const extension = (id: Buffer, value: Buffer): Buffer => sequence(id, der(0x01, Buffer.from([255])), der(0x04, value));
const TRUE = der(0x01, Buffer.from([255]));

interface Order {
  subject: string;
  issuer: string;
  key: KeyObject;
  signedBy: KeyObject;
  from: Date;
  until: Date;
  extensions: Buffer[];
}

function certificate({ subject, issuer, key, signedBy, from, until, extensions }: Order): string {
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(time(from), time(until)),
    nameOf(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, signedBy));
  const base64 = sequence(body, ECDSA_SHA256, signature).toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}

export function makeAuthority(): Authority {
  const now = Date.now();
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = `Authority of the tests ${randomBytes(4).toString('hex')}`;
  const ca = certificate({
    subject: issuer,
    issuer,
    key: pair.publicKey,
    signedBy: pair.privateKey,
    from: new Date(now - 1000 * DAY),
    until: new Date(now + 1000 * DAY),
    extensions: [extension(oid(0x55, 0x1d, 0x13), sequence(TRUE))],
  });
  return {
    ca,
    issue({ from = new Date(now - 500 * DAY), until = new Date(now + 500 * DAY), host } = {}) {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = host
        ? [der(0x82, Buffer.from(host))]
        : [der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1]))];
      const cert = certificate({
        subject: host ?? 'localhost',
        issuer,
        key: publicKey,
        signedBy: pair.privateKey,
        from,
        until,
        extensions: [extension(oid(0x55, 0x1d, 0x11), sequence(...names))],
      });
      return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
    },
  };
}
