import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
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

describe('a log that cannot be written holds up nothing', () => {
  const LOGGING = `
    import { makeLog, metrics } from '${new URL('../../src/platform/telemetry.ts', import.meta.url).href}';
    const log = makeLog();
    process.stdin.on('end', async () => {
      log.warn({}, 'something is wrong');
      for (let n = 0; n < 50_000; n += 1) log.info({ n }, 'and something else happened');
      log.error({}, 'and wrong again');
      const [leftOut] = (await metrics.logLeftOut.get()).values;
      process.stderr.write(leftOut.value > 30_000 ? 'alive, lines left out' : 'alive');
    }).resume();`;
  const logging = (stdout: 'pipe' | number) =>
    spawn(process.execPath, ['--input-type=module', '-e', LOGGING], {
      stdio: ['pipe', stdout, 'pipe'],
      timeout: 20_000,
      killSignal: 'SIGKILL',
    });

  async function endOf(child: ReturnType<typeof logging>): Promise<{ code: number | null; told: string }> {
    const ended = once(child, 'exit') as Promise<[number | null]>;
    child.stdin!.end();
    const [told, [code]] = await Promise.all([text(child.stderr!), ended]);
    return { code, told };
  }

  test('where its reader has gone', async () => {
    const child = logging('pipe');
    child.stdout!.destroy();
    expect(await endOf(child)).toEqual({ code: 0, told: 'alive' });
  });

  test('where its reader stands still', async () => {
    expect(await endOf(logging('pipe'))).toEqual({ code: 0, told: 'alive, lines left out' });
  });

  test('where the disk is full', async () => {
    const full = await open('/dev/full', 'w');
    const child = logging(full.fd);
    expect(await endOf(child).finally(() => full.close())).toEqual({ code: 0, told: 'alive, lines left out' });
  });
});

test('metrics are written in the format that Prometheus reads', async () => {
  metrics.signIns.inc({ outcome: 'done' });
  expect(await metrics.registry.metrics()).toContain('tunnus_sign_ins_total{outcome="done"} 1');
});
