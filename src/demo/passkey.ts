/**
 * A resident's passkey in software (Web Authentication Level 3), written apart from the provider's reading of it, so that the two
 * check each other. ES256, no attestation; it holds one credential and always verifies its user.
 */
import { createSign, generateKeyPairSync, hash, randomBytes, type KeyObject } from 'node:crypto';

/** What a page asks, as far as a passkey looks at it. */
export interface Asked {
  challenge: string;
  rp?: { id: string };
  rpId?: string;
  user?: { id: string };
}

/** What is said in answer, before it is written as bytes. */
export interface Said {
  type: 'webauthn.create' | 'webauthn.get';
  challenge: string;
  origin: string;
  rpId: string;
  id: string;
  userHandle: string;
  userVerified: boolean;
  counter: number;
}

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const MAY_BE_BACKED_UP = 0x08;
const BACKED_UP = 0x10;
const HAS_CREDENTIAL = 0x40;

export class Passkey {
  readonly id = randomBytes(32).toString('base64url');
  readonly #key: KeyObject;
  readonly #public: Buffer;
  readonly #synced: boolean;
  readonly #origin: string;
  #userHandle = '';
  /** One that counts adds one with each answer; those that live on several devices do not. */
  #counter = 0;

  constructor(origin: string, { synced = true }: { synced?: boolean } = {}) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x, y } = publicKey.export({ format: 'jwk' });
    this.#key = privateKey;
    // COSE: kty EC2, alg ES256, crv P-256, x, y.
    this.#public = Buffer.concat([
      Buffer.from('a5010203262001', 'hex'),
      Buffer.from('215820', 'hex'),
      Buffer.from(x!, 'base64url'),
      Buffer.from('225820', 'hex'),
      Buffer.from(y!, 'base64url'),
    ]);
    this.#synced = synced;
    this.#origin = origin;
  }

  /** What a page's form sends in its field `passkey` after `navigator.credentials.create`. */
  create(asked: Asked): string {
    return this.attest(this.say('webauthn.create', asked));
  }

  /** The same after `navigator.credentials.get`. */
  answer(asked: Asked): string {
    return this.sign(this.say('webauthn.get', asked));
  }

  protected say(type: Said['type'], { challenge, rp, rpId, user }: Asked): Said {
    if (user) this.#userHandle = user.id;
    if (type === 'webauthn.get' && !this.#synced) this.#counter += 1;
    return {
      type,
      challenge,
      origin: this.#origin,
      rpId: (rp?.id ?? rpId)!,
      id: this.id,
      userHandle: this.#userHandle,
      userVerified: true,
      counter: this.#counter,
    };
  }

  protected attest(said: Said): string {
    const id = Buffer.from(said.id, 'base64url');
    const authData = Buffer.concat([
      this.#authenticatorData(said, HAS_CREDENTIAL),
      Buffer.alloc(16),
      Buffer.from([id.length >> 8, id.length & 0xff]),
      id,
      this.#public,
    ]);
    // {fmt: 'none', attStmt: {}, authData}
    const attestation = Buffer.concat([
      Buffer.from('a363666d74646e6f6e656761747453746d74a0686175746844617461', 'hex'),
      Buffer.from([0x59, authData.length >> 8, authData.length & 0xff]),
      authData,
    ]);
    return JSON.stringify({
      id: said.id,
      response: {
        clientDataJSON: clientData(said).toString('base64url'),
        attestationObject: attestation.toString('base64url'),
        transports: ['internal'],
      },
    });
  }

  protected sign(said: Said): string {
    const authData = this.#authenticatorData(said);
    const signed = Buffer.concat([authData, hash('sha256', clientData(said), 'buffer')]);
    return JSON.stringify({
      id: said.id,
      response: {
        clientDataJSON: clientData(said).toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: createSign('sha256').update(signed).sign(this.#key).toString('base64url'),
        userHandle: said.userHandle,
      },
    });
  }

  #authenticatorData({ rpId, userVerified, counter }: Said, also = 0): Buffer {
    const synced = this.#synced ? MAY_BE_BACKED_UP | BACKED_UP : 0;
    const flags = Buffer.of(USER_PRESENT | (userVerified ? USER_VERIFIED : 0) | synced | also);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(counter);
    return Buffer.concat([hash('sha256', rpId, 'buffer'), flags, count]);
  }
}

function clientData({ type, challenge, origin }: Said): Buffer {
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
}
