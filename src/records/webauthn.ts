/**
 * Owns what passkeys say (Web Authentication Level 3): what a browser is asked for, and whether its answer is good. The only door
 * to @simplewebauthn/server, which is loaded when the first passkey is met.
 *
 * A passkey is discoverable, verifies the user by itself (fingerprint, face, PIN), and needs no attestation. Its answer is
 * good at our own origin and for the one challenge that was given. What is stored of it is factors.ts's.
 */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import type { NewPasskey, Passkey } from './factors.ts';

/** COSE algorithms: Ed25519, ES256, RS256. */
const ALGORITHMS = [-8, -7, -257];
const LONGEST_CREDENTIAL_ID = 1023;
const TRANSPORTS = ['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'];

/** Where passkeys are good: the issuer's host. */
export const rpIdOf = (issuer: string): string => new URL(issuer).hostname;

export interface Asked {
  issuer: string;
  challenge: string;
}

/** What `navigator.credentials.create` is asked for; binary parts in base64url. */
export function creationOptions({
  issuer,
  challenge,
  site,
  user,
  known,
}: Asked & { site: string; user: { handle: string; email: string }; known: readonly Passkey[] }): object {
  return {
    challenge,
    rp: { id: rpIdOf(issuer), name: site },
    user: { id: user.handle, name: user.email, displayName: user.email },
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
    excludeCredentials: known.map(described),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
    attestation: 'none',
  };
}

/** What `navigator.credentials.get` is asked for; without `known`, any passkey of this site. */
export function requestOptions({ issuer, challenge, known = [] }: Asked & { known?: readonly Passkey[] }): object {
  return {
    challenge,
    rpId: rpIdOf(issuer),
    allowCredentials: known.map(described),
    userVerification: 'required',
  };
}

const described = ({ credentialId, transports }: Passkey): object => ({
  type: 'public-key',
  id: credentialId,
  transports,
});

/** What a browser sent, as far as it can be told apart: text that is JSON with texts in the right places. */
interface Sent {
  id: string;
  response: Record<string, unknown>;
}

const isText = (value: unknown): value is string => typeof value === 'string' && /^[\w-]*$/.test(value);

function read(json: string, names: readonly string[]): Sent | undefined {
  let sent: Partial<Sent> | null;
  try {
    sent = JSON.parse(json) as Partial<Sent> | null;
  } catch {
    return undefined;
  }
  const response = sent?.response;
  if (!isText(sent?.id) || !sent.id || typeof response !== 'object' || response === null) return undefined;
  if (Buffer.from(sent.id, 'base64url').length > LONGEST_CREDENTIAL_ID) return undefined;
  return names.every((name) => isText(response[name])) ? { id: sent.id, response } : undefined;
}

const whole = ({ id, response }: Sent) => ({
  id,
  rawId: id,
  type: 'public-key' as const,
  clientExtensionResults: {},
  response,
});

/** Undefined: no good answer to `creationOptions`. */
export async function newPasskey(json: string, { issuer, challenge }: Asked): Promise<NewPasskey | undefined> {
  const sent = read(json, ['clientDataJSON', 'attestationObject']);
  if (!sent) return undefined;
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
  const checked = await verifyRegistrationResponse({
    response: whole(sent) as unknown as RegistrationResponseJSON,
    expectedChallenge: challenge,
    expectedOrigin: issuer,
    expectedRPID: rpIdOf(issuer),
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch(() => undefined);
  if (!checked?.verified) return undefined;
  const { credential, credentialDeviceType, credentialBackedUp } = checked.registrationInfo;
  const { transports } = sent.response;
  return {
    credentialId: credential.id,
    publicKey: Buffer.from(credential.publicKey),
    counter: credential.counter,
    backupEligible: credentialDeviceType === 'multiDevice',
    backedUp: credentialBackedUp,
    transports: Array.isArray(transports) ? TRANSPORTS.filter((known) => transports.includes(known)) : [],
  };
}

/** Which passkey answers, and for whom it says to be: read before anything is proved. Undefined where it is no answer. */
export function claimedPasskey(json: string): { credentialId: string; userHandle?: string } | undefined {
  const sent = read(json, ['clientDataJSON', 'authenticatorData', 'signature']);
  if (!sent) return undefined;
  const { userHandle } = sent.response;
  return { credentialId: sent.id, userHandle: isText(userHandle) && userHandle ? userHandle : undefined };
}

/** Undefined: no good answer to `requestOptions`, or its counter went back, as that of a copy would. */
export async function answerOf(
  json: string,
  { issuer, challenge, passkey }: Asked & { passkey: Passkey },
): Promise<{ counter: number; backedUp: boolean } | undefined> {
  const sent = read(json, ['clientDataJSON', 'authenticatorData', 'signature']);
  if (!sent || sent.id !== passkey.credentialId) return undefined;
  const { verifyAuthenticationResponse } = await import('@simplewebauthn/server');
  const checked = await verifyAuthenticationResponse({
    response: whole(sent) as unknown as AuthenticationResponseJSON,
    expectedChallenge: challenge,
    expectedOrigin: issuer,
    expectedRPID: rpIdOf(issuer),
    credential: {
      id: passkey.credentialId,
      publicKey: new Uint8Array(passkey.publicKey),
      counter: passkey.counter,
    },
  }).catch(() => undefined);
  if (!checked?.verified) return undefined;
  const { newCounter, credentialBackedUp } = checked.authenticationInfo;
  return { counter: newCounter, backedUp: credentialBackedUp };
}
