/** A resident's authenticator app (TOTP, RFC 6238), written apart from the provider's own, so that the two check each other. */
import { createHmac } from 'node:crypto';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const PERIOD = 30_000;

/** The six digits that the app shows at a time; `ahead` by whole periods. The secret is base32, spaces are fine. */
export function codeOfApp(secret: string, at: Date, { ahead = 0 }: { ahead?: number } = {}): string {
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at.getTime() / PERIOD) + ahead));
  const digest = createHmac('sha1', fromBase32(secret)).update(step).digest();
  const number = digest.readUInt32BE(digest.at(-1)! & 0xf) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, '0');
}

function fromBase32(text: string): Buffer {
  const bits = [...text.replaceAll(' ', '')].map((each) => BASE32.indexOf(each).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}
