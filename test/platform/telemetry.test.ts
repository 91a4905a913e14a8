import { Writable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { makeLog, metrics, type Log } from '../../src/platform/telemetry.ts';

function logging(write: (log: Log) => void): { line: string; fields: Record<string, unknown> } {
  let line = '';
  const destination = new Writable({
    write(chunk, _encoding, done) {
      line += String(chunk);
      done();
    },
  });
  write(makeLog({ destination }));
  return { line, fields: JSON.parse(line || '{}') as Record<string, unknown> };
}

test('no field with a secret name is written, however deep', () => {
  const names =
    'password currentPassword new_password password_hash token accessToken id_token_hint code secret client_secret' +
    ' cookie set-cookie Authorization link private_jwk code_verifier client_assertion';
  for (const name of names.split(' ')) {
    const { line } = logging((log) =>
      log.child({ [name]: 'SESAME' }).info({ [name]: 'SESAME', a: [{ b: { c: { d: { [name]: 'SESAME' } } } }] }, 'x'),
    );
    expect(line).not.toContain('SESAME');
  }
});

test('texts lose what opens doors: links, queries, credentials', () => {
  const secrets = [
    'https://id.example/set-password/SESAME',
    '/set-password/SESAME?x=1',
    '/PASSWORD-SET//SESAME',
    ...'confirm-email undo-email new-account account-made keep-factors'.split(' ').map((page) => `/${page}/SESAME`),
    '/sign-in/SESAME/password',
    'https://e-service.example/callback?code=SESAME&state=1',
    '/auth?client_id=x&login_hint=SESAME',
    'postgres://tunnus:SESAME@127.0.0.1:5432/postgres',
    'Bearer SESAMESESAME',
    'eyJSESAME.eyJSESAME.SESAME',
  ];
  for (const secret of secrets) {
    const error = new Error(`failed: ${secret}`, { cause: new Error(secret) });
    const { line } = logging((log) => log.warn({ url: secret, deep: [secret], error }, `GET ${secret}`));
    expect(line).not.toContain('SESAME');
  }
});

test('an error keeps its kind and code, and loses the row that PostgreSQL quotes', () => {
  const error = Object.assign(new Error('duplicate key'), {
    code: '23505',
    constraint: 'accounts_email_key_key',
    detail: 'Key (email_key)=(aino@example.fi) already exists.',
  });
  const { line, fields } = logging((log) => log.error({ error }, 'failed'));
  expect(fields.error).toMatchObject({ type: 'Error', code: '23505', constraint: 'accounts_email_key_key' });
  expect(line).not.toContain('aino');
});

test('the rest is written as it is, in one line with level and time', () => {
  const { fields } = logging((log) => log.child({ request: 'r1' }).info({ status: 200, list: ['a'] }, 'answered'));
  expect(fields).toEqual({
    level: 'info',
    time: expect.any(String),
    request: 'r1',
    status: 200,
    list: ['a'],
    msg: 'answered',
  });
});

test('a circle in the fields ends the line, not the process', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  expect(logging((log) => log.info(circle, 'round')).fields.msg).toBe('round');
});

test('below its level it is silent', () => {
  expect(logging((log) => log.debug({}, 'quiet')).line).toBe('');
});

test('metrics are written in the format that Prometheus reads', async () => {
  metrics.signIns.inc({ outcome: 'done' });
  expect(await metrics.registry.metrics()).toContain('tunnus_sign_ins_total{outcome="done"} 1');
});
