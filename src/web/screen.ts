/**
 * Owns what a screen is: a path with what it shows (GET) and what it does (POST), and the parts that screens are made from.
 * A screen's name is its URL's end, its view and its text section.
 */
import type { Context } from 'koa';
import type { ClientConfig, Config, Language, TextByLanguage } from '../config.ts';
import type { AccountChanges } from '../journeys/account-changes.ts';
import type { Agreements } from '../journeys/agreements.ts';
import type { EmailChanges } from '../journeys/email-change.ts';
import type { Leaving } from '../journeys/leave.ts';
import type { OwnDataJourney } from '../journeys/own-data.ts';
import type { PasswordFault } from '../journeys/new-password.ts';
import type { FactorChanges } from '../journeys/factor-changes.ts';
import type { FactorProofs } from '../journeys/factor-proofs.ts';
import type { FactorRemovals } from '../journeys/factor-removals.ts';
import type { PasswordLink } from '../journeys/password-link.ts';
import type { ResidentSessions } from '../journeys/sessions.ts';
import type { RegistrationJourney } from '../journeys/registration.ts';
import type { SignIn } from '../journeys/sign-in.ts';
import type { SignInHistory } from '../journeys/sign-in-history.ts';
import type { SupportRequests } from '../journeys/support-request.ts';
import type { Consent } from '../oidc/consent.ts';
import type { SignInGate } from '../oidc/interaction.ts';
import type { OwnSession } from '../oidc/own-session.ts';
import { Problem } from '../platform/refusal.ts';
import { LONGEST as LONGEST_PASSWORD } from '../records/passwords.ts';
import type { KeptForms } from './kept-forms.ts';
import type { FieldError } from './page.ts';
import type { Visitors } from './visitor.ts';

export interface Screen {
  path: string;
  get?: (ctx: Context) => Promise<void>;
  post?: (ctx: Context) => Promise<void>;
}

export interface ScreenParts {
  config: Config;
  clock: () => Date;
  gate: SignInGate;
  consent: Consent;
  session: OwnSession;
  visitors: Visitors;
  keptForms: KeptForms;
  signIn: SignIn;
  factorProofs: FactorProofs;
  factorChanges: FactorChanges;
  factorRemovals: FactorRemovals;
  registration: RegistrationJourney;
  passwordLink: PasswordLink;
  accountChanges: AccountChanges;
  agreements: Agreements;
  emailChanges: EmailChanges;
  sessions: ResidentSessions;
  signInHistory: SignInHistory;
  ownData: OwnDataJourney;
  leaving: Leaving;
  supportRequests: SupportRequests;
  /** The e-services as they are now: a reload changes them. */
  client: (id: string | undefined) => ClientConfig | undefined;
}

/** An e-service as pages name it. `url` leads back to it: a fresh sign-in of its own making, else its front page. */
export interface Service {
  name: string;
  /** For a mail, whose language may be another than the page's. */
  names: TextByLanguage;
  url?: string;
}

/**
 * The way back to an e-service without the sign-in that led here: third-party initiated login (OpenID Connect Core 1.0,
 * section 4), else its front page, else none.
 */
export function serviceOf(parts: ScreenParts, clientId: string | undefined, language: Language): Service | undefined {
  const client = parts.client(clientId);
  if (!client) return undefined;
  return { name: client.client_name[language], names: client.client_name, url: wayBack(parts.config.issuer, client) };
}

function wayBack(issuer: string, client: ClientConfig): string | undefined {
  if (!client.initiate_login_uri) return client.client_uri;
  const url = new URL(client.initiate_login_uri);
  url.searchParams.set('iss', issuer);
  return url.href;
}

/** An answer of a passkey, in UTF-16 units: some hundred bytes, but keys of some kinds are long. */
export const LONGEST_PASSKEY = 16_384;

/** What was wrong with a new password, in words. */
export function passwordError(field: string, fault: PasswordFault, minLength: number): FieldError {
  return { field, key: PASSWORD_FAULTS[fault], values: { count: minLength, max: LONGEST_PASSWORD } };
}

const PASSWORD_FAULTS: Readonly<Record<PasswordFault, string>> = {
  too_short: 'validation.password_too_short',
  too_long: 'validation.password_too_long',
  common: 'validation.password_too_common',
  personal: 'validation.password_personal',
  guessable: 'validation.password_guessable',
  breached: 'validation.password_breached',
};

/** The token in the path of a page behind a mailed link. */
export const tokenOf = (ctx: Context): string => String((ctx.params as Record<string, string>)['token']);

/** For a form whose page comes again with what was typed where too many others are at work. */
export async function orBusy<T extends object>(work: Promise<T>): Promise<T | { busy: Problem }> {
  return work.catch((error: unknown) => {
    if (error instanceof Problem && error.code === 'busy') return { busy: error };
    throw error;
  });
}

/** Leads on after a POST that did its work (303: the next request is a GET). */
export function goOn(ctx: Context, to: string): void {
  ctx.redirect(to);
  ctx.status = 303;
}
