/**
 * A passkey in software (Web Authentication Level 3), for tests over HTTP: makes a credential and answers challenges, also in
 * ways that no honest authenticator would. ES256, attestation none.
 */
import { createSign, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { sha256 } from '../../src/platform/secrets.ts';

export interface Asked {
  challenge: string;
  rp?: { id: string };
  rpId?: string;
  user?: { id: string };
}

/** What may be otherwise than it should. */
export interface Dishonesty {
  origin?: string;
  rpId?: string;
  challenge?: string;
  type?: string;
  userVerified?: boolean;
  counter?: number;
  userHandle?: string;
  id?: string;
}

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const MAY_BE_BACKED_UP = 0x08;
const BACKED_UP = 0x10;
const HAS_CREDENTIAL = 0x40;

export class SoftPasskey {
  readonly id = randomBytes(32).toString('base64url');
  readonly #key: KeyObject;
  readonly #public: Buffer;
  readonly #synced: boolean;
  readonly #origin: string;
  #userHandle = '';
  /** One that counts adds one with each answer; those that live on several devices do not. */
  counter = 0;

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
  create(asked: Asked, how: Dishonesty = {}): string {
    this.#userHandle = asked.user!.id;
    const id = Buffer.from(how.id ?? this.id, 'base64url');
    const credential = Buffer.concat([
      Buffer.alloc(16),
      Buffer.from([id.length >> 8, id.length & 0xff]),
      id,
      this.#public,
    ]);
    const authData = Buffer.concat([this.#authenticatorData(asked.rp!.id, how, HAS_CREDENTIAL), credential]);
    // {fmt: 'none', attStmt: {}, authData}
    const attestation = Buffer.concat([
      Buffer.from('a363666d74646e6f6e656761747453746d74a0686175746844617461', 'hex'),
      Buffer.from([0x59, authData.length >> 8, authData.length & 0xff]),
      authData,
    ]);
    return JSON.stringify({
      id: id.toString('base64url'),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', asked, how),
        attestationObject: attestation.toString('base64url'),
        transports: ['internal'],
      },
    });
  }

  /** The same after `navigator.credentials.get`. */
  answer(asked: Asked, how: Dishonesty = {}): string {
    if (!this.#synced) this.counter += 1;
    const authData = this.#authenticatorData(asked.rpId!, how);
    const clientDataJSON = this.#clientData('webauthn.get', asked, how);
    const signed = Buffer.concat([authData, sha256(Buffer.from(clientDataJSON, 'base64url'))]);
    return JSON.stringify({
      id: how.id ?? this.id,
      response: {
        clientDataJSON,
        authenticatorData: authData.toString('base64url'),
        signature: createSign('sha256').update(signed).sign(this.#key).toString('base64url'),
        userHandle: how.userHandle ?? this.#userHandle,
      },
    });
  }

  #authenticatorData(rpId: string, how: Dishonesty, also = 0): Buffer {
    const verified = (how.userVerified ?? true) ? USER_VERIFIED : 0;
    const flags = USER_PRESENT | verified | (this.#synced ? MAY_BE_BACKED_UP | BACKED_UP : 0) | also;
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(how.counter ?? this.counter);
    return Buffer.concat([sha256(how.rpId ?? rpId), Buffer.from([flags]), counter]);
  }

  #clientData(type: string, asked: Asked, how: Dishonesty): string {
    const data = {
      type: how.type ?? type,
      challenge: how.challenge ?? asked.challenge,
      origin: how.origin ?? this.#origin,
      crossOrigin: false,
    };
    return Buffer.from(JSON.stringify(data)).toString('base64url');
  }
}
