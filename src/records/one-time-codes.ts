/**
 * Owns the codes of a second step: those of an authenticator app (TOTP, RFC 6238: six digits, half a minute, SHA-1, as all
 * apps know) and recovery codes. Where they rest is factors.ts's.
 */
import { randomInt } from 'node:crypto';
import { generateSecret, generateURI, verifySync } from 'otplib';

const PERIOD = 30;
export const RECOVERY_CODES = 10;
/** So many or fewer, and it is time for new ones. */
export const FEW_CODES = 3;
/** Nothing that looks like another letter or digit: 10 of these are some 49 bits. */
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789';

/** Base32, 160 bits. */
export const newAuthenticatorSecret = (): string => generateSecret();

/** What a QR code tells an authenticator app. */
export function authenticatorUri({ secret, issuer, email }: { secret: string; issuer: string; email: string }): string {
  return generateURI({ secret, issuer, label: email });
}

/**
 * The time step of a code: of now, of the one before or of the one after, since clocks differ (RFC 6238, 5.2), and later than
 * `after`. Undefined where it is none.
 */
export function stepOfCode(
  { secret, code, after }: { secret: string; code: string; after: number },
  now: Date,
): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined;
  const epoch = Math.floor(now.getTime() / 1000);
  const found = verifySync({ secret, token: code, epoch, epochTolerance: PERIOD });
  return found.valid && 'timeStep' in found && found.timeStep > after ? found.timeStep : undefined;
}

export function newRecoveryCodes(): string[] {
  const letters = (count: number): string =>
    Array.from({ length: count }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return Array.from({ length: RECOVERY_CODES }, () => `${letters(5)}-${letters(5)}`);
}

/** What was typed, without spaces and the like: a code of the app, a recovery code, or neither. */
export function readCode(typed: string): { app: string } | { recovery: string } | undefined {
  const bare = typed.replace(/[\s\p{Pd}]/gu, '').toLowerCase();
  if (/^\d{6}$/.test(bare)) return { app: bare };
  return /^[a-z0-9]{10}$/.test(bare) ? { recovery: `${bare.slice(0, 5)}-${bare.slice(5)}` } : undefined;
}
