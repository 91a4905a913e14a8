/**
 * One password as old systems keep it, in each form that lists may bring; made by other programs (Python's hashlib, crypt
 * and passlib, OpenSSL, bcrypt and argon2 themselves), never by ours. For example:
 *
 *   python3 -c "import hashlib; print(hashlib.md5('Hyvää päivää 1'.encode()).hexdigest())"
 *   openssl passwd -6 -salt saltsalt 'Hyvää päivää 1'
 */
export const OLD_PASSWORD = 'Hyvää päivää 1';

export const OLD_HASHES = [
  '$argon2id$v=19$m=8192,p=2,t=3$ZWWwTH28SmQNe2inB3ql0w$beM5Yn5QWsXp2d70rTFC0fKL9RIgk8ge8/+O51jro8g',
  '$argon2id$v=19$m=8192,t=3,p=2$ZWWwTH28SmQNe2inB3ql0w$beM5Yn5QWsXp2d70rTFC0fKL9RIgk8ge8/+O51jro8g',
  '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$UI3KZrE6YzKg8t3gLKdbtEWRi/HYkZ69/tSgJGWhEYw',
  '$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$l/1M02PtyE4765iV2SmBoGgomss0zvBocvrYILA3XV4',
  '$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$TyehP4iQiyffQYVbMJI1xthv/4/DRWjNdGs1tMALEXk',
  'pbkdf2_sha256$1000$saltsalt$7F/C4ZaPS11rb8IY23IXs979kMf957OI9EH4XuSahrY=',
  '$2a$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$2b$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$2y$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$6$saltsalt$jQP1Q/x23nl6vZfqnZrrI7ZB.DeiiwfqDhQER8ogZM5KGlwQchQoZucjzSU7HPfnH0yj7xQ6tK0v9h6J1EjmG/',
];
export const WEAK_HASHES = [
  'md5$su$ola$9cdd9de39830464d6f216bc70c13232f',
  'sha1$su$ola$ef04de14693c1ba7103bb55a1b1fda67682f9c5f',
  'sha256$su$ola$98b8700875eb4b2b3f725305c798b781424f580fea4fd5da286dd775fc8064cf',
  'md5$$78b63c80931864d50159a108f5ee4900',
];
