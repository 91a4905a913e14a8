/** Passkeys on pages over HTTP: what a page asks them, and one that also answers in ways that no honest one would. */
import { Passkey, type Asked, type Said } from '../../src/demo/passkey.ts';
import type { HttpPage } from './http-page.ts';

export type { Asked };

export const PASSKEY_FORM = { form: 'form[data-passkey]' };

/** As the page's script would read it. */
export function askedOn(page: HttpPage): Asked {
  return JSON.parse(page.form(PASSKEY_FORM.form).getAttribute('data-options')!) as Asked;
}

/** What is otherwise than it should be. */
export type Dishonesty = Partial<Said>;

export class SoftPasskey extends Passkey {
  override create(asked: Asked, how: Dishonesty = {}): string {
    return this.attest({ ...this.say('webauthn.create', asked), ...how });
  }

  override answer(asked: Asked, how: Dishonesty = {}): string {
    return this.sign({ ...this.say('webauthn.get', asked), ...how });
  }
}
