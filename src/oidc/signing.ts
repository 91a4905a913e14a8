/**
 * Signs what the provider issues by Node's own crypto, on the spot. The library's own way (jose, WebCrypto) costs more and
 * waits in libuv's threads behind password hashes. Which keys there are is keys.ts's; nothing here keeps any.
 */
import { createPrivateKey, createPublicKey, sign, type JsonWebKey, type KeyObject } from 'node:crypto';
import { ExternalSigningKey, type JWK, type JWKS } from 'oidc-provider';

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

  override sign(data: Uint8Array): Buffer {
    this.#private ??= createPrivateKey({ key: this.#jwk as JsonWebKey, format: 'jwk' });
    // JWS takes an ECDSA signature as two numbers (RFC 7518, 3.4), not as DER.
    return sign('sha256', data, { key: this.#private, dsaEncoding: 'ieee-p1363' });
  }
}

/** Hands the keys to the library so that it signs with them here. */
export function signingHere({ keys }: JWKS): JWKS {
  return { keys: keys.map((jwk) => new SigningKey(jwk as JWK)) };
}
