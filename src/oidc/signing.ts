/**
 * Signs what the provider issues by Node's own crypto, on the spot while passwords are being hashed: in libuv's threads, where
 * the library's own way (jose, WebCrypto) has it, tokens would wait behind the hashes. Which keys there are is keys.ts's;
 * nothing here keeps any.
 */
import { createPrivateKey, createPublicKey, sign, type JsonWebKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey, type JWK, type JWKS } from 'oidc-provider';
import { hashesRun } from '../records/hashing.ts';

const signInThread = promisify(sign);

/** One key of a JWK Set of RS256 and ES256 keys. A retired one has an empty shell for its private half and never signs. */
class SigningKey extends ExternalSigningKey {
  readonly #jwk: JWK;
  readonly #public: KeyObject;
  #private?: KeyObject;

  constructor(jwk: JWK) {
    super();
    const { kid, alg, kty, n, e, crv, x, y } = jwk;
    Object.assign(this, { kid, alg });
    this.#jwk = jwk;
    this.#public = createPublicKey({ key: { kty, n, e, crv, x, y }, format: 'jwk' });
  }

  override keyObject(): KeyObject {
    return this.#public;
  }

  override sign(data: Uint8Array): Buffer | Promise<Buffer> {
    this.#private ??= createPrivateKey({ key: this.#jwk as JsonWebKey, format: 'jwk' });
    // JWS takes an ECDSA signature as two numbers (RFC 7518, 3.4), not as DER.
    const how = { key: this.#private, dsaEncoding: 'ieee-p1363' } as const;
    // RSA takes a third of a millisecond, ES256 less than the way to a thread and back.
    const elsewhere = this.#jwk.kty === 'RSA' && !hashesRun();
    return elsewhere ? signInThread('sha256', data, how) : sign('sha256', data, how);
  }
}

/** Hands the keys to the library so that it signs with them here. */
export function signingHere({ keys }: JWKS): JWKS {
  return { keys: keys.map((jwk) => new SigningKey(jwk as JWK)) };
}
