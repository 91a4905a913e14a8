/**
 * Owns which new passwords are refused, and why. No rules of composition and no expiry (NIST SP 800-63B-4, 3.1.1.2): only
 * length in code points, that it is not easily guessed from what is known of the resident and the service, and that it is not
 * known from a breach. What helps against the refusal stands on the page.
 */
import type { Config } from '../config.ts';
import { weaknessOf, type Weakness } from '../records/password-strength.ts';
import { LONGEST } from '../records/passwords.ts';

export type PasswordFault = 'too_short' | 'too_long' | Weakness | 'breached';

export interface NewPasswordParts {
  config: Pick<Config, 'password'>;
  /** The names of the service and of its e-services, as residents read them. */
  names: () => readonly string[];
  breached: (plain: string) => Promise<boolean>;
}

export interface NewPasswords {
  /** Why a new password is refused; undefined: it is not. */
  fault(
    plain: string,
    whose: { email: string; givenName?: string; familyName?: string },
  ): Promise<PasswordFault | undefined>;
}

const PARTS = /[\s@._+-]+/;

/** A word that is known, whole and in its parts; short ones are in every password. */
const partsOf = (text: string): string[] => [text, ...text.split(PARTS)].filter((part) => [...part].length > 2);

export function newPasswords({ config, names, breached }: NewPasswordParts): NewPasswords {
  return {
    async fault(plain, { email, givenName = '', familyName = '' }) {
      const length = [...plain.normalize('NFC')].length;
      if (length < config.password.minLength) return 'too_short';
      if (length > LONGEST) return 'too_long';
      const known = [email, ...email.split('@'), givenName, familyName, ...names()].flatMap(partsOf);
      return (await weaknessOf(plain, known)) ?? ((await breached(plain)) ? 'breached' : undefined);
    },
  };
}
