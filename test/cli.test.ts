/** The commands as operators run them: real processes, their words and their exit codes. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../src/platform/database.ts';
import { addPasskey, factorsOf, settleFactors } from '../src/records/factors.ts';
import { CLI, environment, runTunnus, type Ended } from './support/command.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { report } from './support/delivery-report.ts';
import { startMailbox, type Mailbox } from './support/mailbox.ts';

const SECRET = 'a secret of the tests, thirty-two characters or more';

let place: TestDatabase;
let folder: string;

beforeAll(async () => {
  place = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'tunnus-cli-'));
  await mkdir(join(folder, 'clients'));
  await settings({ support: { email: 'tuki@kaupunki.example' } });
});
afterAll(async () => {
  await place.drop();
  await rm(folder, { recursive: true });
});

const settings = (more: object): Promise<void> =>
  writeFile(
    join(folder, 'tunnus.yaml'),
    JSON.stringify({
      issuer: 'https://tunnistus.kaupunki.example',
      secret: SECRET,
      database: { url: place.url },
      ...more,
    }),
  );

const tunnus = (...words: string[]): Promise<Ended> => runTunnus(folder, words);

const noTrace = ({ out, err }: Ended): void => expect(out + err).not.toMatch(/\n\s+at |node:internal|Error:/);

async function list(name: string, ...lines: string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, ['legacy_id,email,given_name,family_name', ...lines, ''].join('\n'));
  return path;
}

describe('a wrong call', () => {
  test.each([
    [['no-such-command']],
    [['accounts', 'import']],
    [['accounts', 'import', 'x.csv']],
    [['accounts', 'show']],
    [['accounts', 'show', 'a@example.com', '--source', 'x']],
    [['accounts', 'set-email', 'a@example.com', 'b@example.com']],
    [['accounts', 'link', 'a@example.com', '--source', 'x']],
    [['serve', '--no-such-option']],
  ])('%j ends with 2 and says what is expected', async (words) => {
    const ended = await tunnus(...words);
    expect(ended.code).toBe(2);
    expect(ended.err).not.toBe('');
    noTrace(ended);
  });

  test('--help ends with 0', async () => {
    const { code, out } = await tunnus('accounts', '--help');
    expect(code).toBe(0);
    for (const command of 'import show resend set-email lock unlock link unlink erase'.split(' '))
      expect(out).toContain(command);
  });
});

describe('a wrong configuration', () => {
  afterAll(() => settings({ support: { email: 'tuki@kaupunki.example' } }));

  test('is told whole, a line for each fault with its file and line, and ends with 2', async () => {
    await settings({ isuer: 'x', links: { lifetime: 'long' } });
    for (const command of [['serve'], ['check'], ['migrate'], ['accounts', 'show', 'a@example.com']]) {
      const ended = await tunnus(...command);
      expect(ended.code).toBe(2);
      expect(ended.err.trim().split('\n')).toHaveLength(2);
      for (const line of ended.err.trim().split('\n')) expect(line).toMatch(/tunnus\.yaml:1: /);
      noTrace(ended);
    }
  });

  test('a key of an e-service that nobody can read is told of by check as by serve, and ends with 2', async () => {
    const path = join(folder, 'clients', 'kartta.yaml');
    await writeFile(
      path,
      [
        'client_id: kartta',
        'client_name: Kartta',
        'redirect_uris: [https://kartta.example/in]',
        'token_endpoint_auth_method: private_key_jwt',
        'jwks: { keys: [{ kty: EC }] }',
        '',
      ].join('\n'),
    );
    await settings({});
    const [checked, served] = [await tunnus('check'), await tunnus('serve')];
    await rm(path);
    expect(checked).toMatchObject({ code: 2, out: '' });
    expect(checked.err).toMatch(/kartta\.yaml:5: jwks\.keys\[0\] .*expected a public key/);
    expect([served.code, served.err]).toEqual([2, checked.err]);
    noTrace(checked);
  });

  test('with a database that does not answer ends with 1 in one line', async () => {
    await settings({ database: { url: 'postgres://nobody@127.0.0.1:1/none' } });
    const ended = await tunnus('migrate');
    expect(ended.code).toBe(1);
    expect(ended.err).toContain('database does not answer');
    noTrace(ended);
  });
});

describe('tunnus check', () => {
  test('says what works and what is weak, and ends with 0', async () => {
    const { code, out } = await tunnus('check');
    expect(code).toBe(0);
    expect(out).toContain('ok: the database answers');
    expect(out).toContain('mail.url is not given');
  });

  test('--security names what is weaker than advised, and ends with 1 where something is', async () => {
    await settings({ password: { minLength: 12 } });
    const { code, out } = await tunnus('check', '--security');
    expect(code).toBe(1);
    expect(out).toMatch(/^weak: .*tunnus\.yaml: password\.minLength is 12; NIST/m);
    expect(out).toMatch(/^note: .*signIn\.unknownAddress is tell/m);
    await settings({});
  });

  test('ends with 1 when the mail server does not answer', async () => {
    await settings({ mail: { url: 'smtp://127.0.0.1:1' } });
    const { code, out } = await tunnus('check');
    expect(code).toBe(1);
    expect(out).toContain('fault: the mail server does not answer');
    await settings({});
  });
});

describe('tunnus accounts import', () => {
  test('ends with 0 for a clean list, and changes nothing when run again', async () => {
    const clean = await list('clean.csv', 'U1,maija@example.com,Maija,M', 'U2,matti@example.com,Matti,M');
    const first = await tunnus('accounts', 'import', clean, '--source', 'asiointi');
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain('2 rows: 2 new accounts');
    const again = await tunnus('accounts', 'import', clean, '--source', 'asiointi', '--json');
    expect(JSON.parse(again.out)).toMatchObject({ rows: 2, created: 0, unchanged: 2 });
  });

  test('ends with 1 where the report has a line, and writes the report', async () => {
    const dirty = await list('dirty.csv', 'U3,not an address,,', 'U4,liisa@example.com,Liisa,L');
    const report = join(folder, 'report.csv');
    const ended = await tunnus('accounts', 'import', dirty, '--source', 'kartta', '--report', report);
    expect(ended.code).toBe(1);
    expect(await readFile(report, 'utf8')).toContain('2,U3,not an address,invalid_email,');
  });

  test('ends with 2 where the report cannot be written or the file is in another encoding, and imports nothing', async () => {
    const clean = await list('unreported.csv', 'U7,ville@example.com,Ville,V');
    const report = join(folder, 'no-such-folder', 'report.csv');
    const unwritten = await tunnus('accounts', 'import', clean, '--source', 'asiointi', '--report', report);
    expect(unwritten).toMatchObject({ code: 2, err: `--report ${report}: cannot be written (ENOENT)\n` });
    expect((await tunnus('accounts', 'show', 'ville@example.com')).code).toBe(1);

    const latin = join(folder, 'latin.csv');
    await writeFile(
      latin,
      Buffer.from('legacy_id;email;given_name\nU1;a@example.com;A\nU2;b@example.com;V\u00e4in\u00f6\n', 'latin1'),
    );
    const refused = await tunnus('accounts', 'import', latin, '--source', 'asiointi');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain(`${latin}:3: not valid utf-8`);
    expect(refused.err).toContain('--encoding windows-1252');
  });

  test('ends with 2 where the file is no list, in one line', async () => {
    await writeFile(join(folder, 'picture.png'), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3]));
    for (const file of [join(folder, 'picture.png'), join(folder, 'no-such-file.csv'), folder]) {
      const ended = await tunnus('accounts', 'import', file, '--source', 'kartta');
      expect(ended.code).toBe(2);
      expect(ended.err.trim().split('\n')).toHaveLength(1);
      noTrace(ended);
    }
  });

  test('a dry run says what would be, and writes nothing', async () => {
    const more = await list('more.csv', 'U9,kalle@example.com,Kalle,K');
    const dry = await tunnus('accounts', 'import', more, '--source', 'asiointi', '--dry-run');
    expect(dry.out).toContain('1 new accounts');
    expect(dry.out).toContain('Nothing was written');
    expect((await tunnus('accounts', 'show', 'kalle@example.com')).code).toBe(1);
  });
});

describe('support', () => {
  async function passkeyFor(email: string): Promise<{ accountId: string; id: string }> {
    const { database } = place;
    const [account] = await database.query<{ id: string }>(sql`select id from accounts where email_key = ${email}`);
    const accountId = account!.id;
    const key = { credentialId: Buffer.from(email).toString('base64url'), publicKey: Buffer.from('key'), counter: 0 };
    const how = { backupEligible: true, backedUp: true, transports: [], name: 'Puhelin\u001b[2J', accountId };
    await addPasskey(database, { ...key, ...how }, new Date());
    await settleFactors(database, accountId, new Date());
    const [passkey] = (await factorsOf(database, accountId)).passkeys;
    return { accountId, id: passkey!.id };
  }

  test('sees an account, locks and unlocks it, and who did so is on record', async () => {
    expect((await tunnus('accounts', 'lock', 'MAIJA@example.com')).code).toBe(0);
    const locked = JSON.parse((await tunnus('accounts', 'show', 'maija@example.com', '--json')).out) as {
      state: string;
      events: { kind: string; actor: string }[];
    };
    expect(locked.state).toBe('locked');
    expect(locked.events[0]).toMatchObject({ kind: 'account_locked' });
    expect(locked.events[0]!.actor).toMatch(/^support:/);
    expect((await tunnus('accounts', 'resend', 'maija@example.com')).code).toBe(1);
    expect((await tunnus('accounts', 'unlock', 'maija@example.com')).code).toBe(0);
    expect((await tunnus('accounts', 'resend', 'maija@example.com')).out).toContain('on its way');
    expect((await tunnus('accounts', 'show', 'maija@example.com')).out).toContain('U1');
  });

  test('is told of an address that nobody has, with 1', async () => {
    const ended = await tunnus('accounts', 'show', 'nobody@example.com');
    expect(ended).toMatchObject({ code: 1, err: 'no account has this address\n' });
  });

  test('changes who is who only with a reason or a yes, and says in a line what was wrong', async () => {
    const why = ['--reason', 'by telephone\u001b[2J'];
    const odd = await tunnus('accounts', 'set-email', 'matti@example.com', `no\u001b[2J${'x'.repeat(10_000)}`, ...why);
    expect(odd).toMatchObject({ code: 2, err: 'the new address is no e-mail address\n' });
    const taken = await tunnus('accounts', 'set-email', 'matti@example.com', 'Maija@example.com', ...why, '--json');
    expect([taken.code, JSON.parse(taken.out)]).toEqual([1, { refused: 'address_taken' }]);
    await passkeyFor('matti@example.com');
    const set = await tunnus('accounts', 'set-email', 'matti@example.com', 'matti.uusi@example.com', ...why);
    expect(set).toMatchObject({ code: 0, err: '' });
    expect(set.out).toMatch(
      /^Done\.\nThe account keeps its ways to sign in besides the password\. .*: lock, then factors\.\n$/,
    );

    const id = ['--source', 'kartta', '--legacy-id', 'K77'];
    const doubtful = await tunnus('accounts', 'link', 'matti.uusi@example.com', ...id);
    expect(doubtful.code).toBe(2);
    expect(doubtful.err).toContain('No list that was imported has this id');
    expect((await tunnus('accounts', 'link', 'matti.uusi@example.com', ...id, '--yes')).code).toBe(0);
    expect((await tunnus('accounts', 'show', ...id)).out).toContain('matti.uusi@example.com');
  });

  test('sees which ways to sign in there are, and has one removed later, with a reason that is on record', async () => {
    const { database } = place;
    const { accountId, id } = await passkeyFor('maija@example.com');

    const remove = (...words: string[]) => tunnus('accounts', 'remove-factor', 'maija@example.com', ...words);
    const why = ['--reason', 'lost the phone\u001b[2J'];
    const [seen, told, nobody, unreasoned, blank, foreign, removed] = await Promise.all([
      tunnus('accounts', 'factors', 'MAIJA@example.com', '--json'),
      tunnus('accounts', 'factors', 'maija@example.com'),
      tunnus('accounts', 'factors', 'nobody@example.com'),
      remove(id),
      remove(id, '--reason', ' '),
      remove('authenticator', ...why, '--json'),
      remove(id, ...why),
    ]);
    expect([seen.code, JSON.parse(seen.out)]).toMatchObject([0, { passkeys: [{ id, backedUp: true }], codes: 0 }]);
    expect([told.code, told.out]).toEqual([0, expect.stringContaining(id)]);
    for (const { out } of [seen, told]) expect(out).not.toMatch(/\u001b|public/i);
    expect(nobody).toMatchObject({ code: 1, out: '', err: 'no account has this address\n' });
    expect([unreasoned.code, unreasoned.err]).toEqual([2, expect.stringContaining('--reason')]);
    expect(blank.code).toBe(2);
    expect([foreign.code, JSON.parse(foreign.out)]).toEqual([1, { refused: 'no_such_factor' }]);
    expect([removed.code, removed.out]).toEqual([0, expect.stringMatching(/^The resident is told\. It goes on 20/)]);
    for (const each of [nobody, unreasoned, blank, foreign, removed]) noTrace(each);

    const [asked] = await database.query<{ actor: string; detail: object }>(sql`
      select actor, detail from audit where account_id = ${accountId} and kind = 'factor_removal_asked'`);
    expect(asked).toEqual({
      actor: expect.stringMatching(/^support:./),
      detail: { factor: id, reason: 'lost the phone [2J' },
    });
    expect(
      await database.query(sql`select 1 from mails where account_id = ${accountId} and kind = 'factor_removal'`),
    ).toHaveLength(1);
    expect((await factorsOf(database, accountId)).passkeys).toHaveLength(1);
  });

  test('erases only with a yes, and sees afterwards that it was', async () => {
    const asked = await tunnus('accounts', 'erase', 'matti.uusi@example.com');
    expect(asked.code).toBe(2);
    expect(asked.err).toContain('This erases matti.uusi@example.com for good');
    expect((await tunnus('accounts', 'erase', 'matti.uusi@example.com', '--yes')).code).toBe(0);
    const gone = await tunnus('accounts', 'show', 'matti.uusi@example.com');
    expect(gone).toMatchObject({ code: 1, out: '' });
    expect(gone.err).toMatch(/^the account with this address was erased: 20[\d-]+T[\d:.]+Z\n$/);
  });

  test('never sees a password or its hash', async () => {
    const { out } = await tunnus('accounts', 'show', 'maija@example.com', '--json');
    expect(out).not.toMatch(/argon2|password_hash|passwordHash/);
  });
});

test('an old id of several lines makes no line of its own for support to read', async () => {
  const forged = await list('forged.csv', '"9\nstate           locked since yesterday",forged@example.com,F,F');
  expect((await tunnus('accounts', 'import', forged, '--source', 'forged')).code).toBe(1);
  const { out } = await tunnus('accounts', 'show', 'forged@example.com');
  expect(out.split('\n').filter((line) => line.startsWith('state'))).toEqual(['state           open']);
});

test('a pipe that nobody writes into is no list, and is not waited for', async () => {
  const pipe = join(folder, 'pipe.csv');
  execFileSync('mkfifo', [pipe]);
  const ended = await tunnus('accounts', 'import', pipe, '--source', 'asiointi');
  expect(ended).toEqual({ code: 2, out: '', err: `${pipe}: this is no file: a folder, a pipe or a device\n` });
});

test('a reader that goes away early, as head does, breaks nothing', async () => {
  const command = spawn(process.execPath, [CLI, 'migrate'], { env: environment(folder), cwd: folder });
  command.stdout.destroy();
  const ended = once(command, 'exit') as Promise<[number | null]>;
  const [complaints, [code]] = await Promise.all([text(command.stderr), ended]);
  expect({ code, complaints }).toEqual({ code: 0, complaints: '' });
});

test.each([['clients list --json'], ['accounts export'], ['accounts rehearse --csv']])(
  '%s onto a full disk ends with 1 and one line that says so',
  async (words) => {
    const full = await open('/dev/full', 'w');
    const stdio = ['ignore', full.fd, 'pipe'] as const;
    const command = spawn(process.execPath, [CLI, ...words.split(' ')], {
      env: environment(folder),
      stdio: [...stdio],
    });
    const ended = once(command, 'exit') as Promise<[number | null]>;
    const [complaints, [code]] = await Promise.all([text(command.stderr!), ended]);
    await full.close();
    expect({ code, complaints }).toEqual({
      code: 1,
      complaints: 'the output cannot be written: ENOSPC: no space left on device, write\n',
    });
  },
);

describe('mail', () => {
  let mailbox: Mailbox;
  beforeAll(async () => {
    mailbox = await startMailbox();
    await settings({ mail: { url: mailbox.url } });
  });
  afterAll(async () => {
    await mailbox.close();
    await settings({});
  });

  test('test sends one, and tells the answer of the mail server', async () => {
    const taken = await tunnus('mail', 'test', 'ylläpito@kaupunki.example');
    expect(taken).toMatchObject({ code: 0, err: '' });
    expect(taken.out).toContain('The mail server took it (250)');
    expect((await mailbox.next()).text).toContain('dkim=pass');
    mailbox.refuseWith(554, '5.7.1 not you, admin@kaupunki.example');
    const refused = await tunnus('mail', 'test', 'admin@kaupunki.example');
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toContain("at the step 'message' (554 5.7.1)");
    mailbox.refuseWith(undefined);
    expect(await tunnus('mail', 'test', 'a@b, c@d')).toMatchObject({ code: 2, out: '' });
  });

  test('bounce takes a report from standard input; what tells of no mail of ours ends with 0 too', async () => {
    const bounce = async (input: Uint8Array): Promise<[code: number, out: string]> => {
      const command = spawn(process.execPath, [CLI, 'mail', 'bounce'], { env: environment(folder), cwd: folder });
      const ended = once(command, 'exit') as Promise<[number]>;
      command.stdin.end(input);
      const [out, [code]] = await Promise.all([text(command.stdout), ended]);
      return [code, out];
    };
    const [row] = await place.database.query<{ id: string }>(sql`
      insert into mails (kind, queued_at, outcome, outcome_at, tries) values ('dormant', now(), 'sent', now(), 1) returning id`);
    const came = report({ messageId: `${row!.id}@tunnistus.kaupunki.example` });
    expect(await bounce(came)).toEqual([0, 'Noted: this mail came back.\n']);
    const [again, foreign] = await Promise.all([bounce(came), bounce(Buffer.from('Subject: spam\r\n\r\nbuy'))]);
    expect(again).toEqual([0, expect.stringContaining('Nothing to note')]);
    expect(foreign).toEqual([0, expect.stringContaining('Nothing to note')]);
  });
});

test('keys are listed and replaced before their time', async () => {
  expect((await tunnus('keys', 'rotate')).code).toBe(0);
  const keys = JSON.parse((await tunnus('keys', 'list', '--json')).out) as { alg: string; state: string }[];
  expect(keys.map(({ alg }) => alg).sort()).toEqual(expect.arrayContaining(['ES256', 'RS256']));
  expect(JSON.stringify(keys)).not.toContain('"d"');
});

describe('clients', () => {
  let service: Server;
  let status = 400;
  const metadata = () => {
    const site = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
    const addresses = { redirect_uris: [`${site}/in`], backchannel_logout_uri: `${site}/out` };
    return { client_id: 'library', client_name: 'Kirjasto', client_secret: SECRET, ...addresses };
  };

  beforeAll(async () => {
    service = createServer((_request, response) => response.writeHead(status).end()).listen(0, '127.0.0.1');
    await once(service, 'listening');
    await writeFile(join(folder, 'clients', 'kirjasto.yaml'), JSON.stringify(metadata()));
  });
  afterAll(async () => {
    service.close();
    await rm(join(folder, 'clients', 'kirjasto.yaml'));
  });

  test('list names each with its kind, for people and for programs, and no secret', async () => {
    const [people, programs] = await Promise.all([tunnus('clients', 'list'), tunnus('clients', 'list', '--json')]);
    expect(people).toEqual({ code: 0, out: 'library  server-side  Kirjasto  (kirjasto.yaml)\n', err: '' });
    expect(JSON.parse(programs.out)).toMatchObject([{ client_id: 'library', kind: 'server-side', consent: 'skip' }]);
    expect(programs.out).not.toContain(SECRET);
  });

  test('check ends with 0 where all is well', async () => {
    status = 400;
    const { code, out } = await tunnus('clients', 'check', 'library');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^ok: redirect_uris http:.*\/in: answers 400\nok: backchannel_logout_uri http:.*\/out: refuses .*\n$/,
    );
  });

  test('check ends with 1 where something does not do what it must', async () => {
    status = 200;
    // By the name of its file.
    const ended = await tunnus('clients', 'check', 'kirjasto', '--json');
    expect(ended.code).toBe(1);
    expect(JSON.parse(ended.out)).toMatchObject([
      { level: 'ok', key: 'redirect_uris' },
      { level: 'fault', key: 'backchannel_logout_uri', message: expect.stringContaining('answers 200') },
    ]);
  });

  test('check of one that there is not ends with 2', async () => {
    const ended = await tunnus('clients', 'check', 'nobody');
    expect(ended).toEqual({ code: 2, out: '', err: 'no e-service is called nobody, expected one of library\n' });
  });
});

test('keys that are known to others are withdrawn at once, and it is said what that means', async () => {
  const { code, out } = await tunnus('keys', 'rotate', '--now');
  expect(code).toBe(0);
  for (const word of ['every older one is withdrawn', 'within an hour', 'hint']) expect(out).toContain(word);
  const rows = await place.database.query<{ kid: string }>(sql`select kid from signing_keys`);
  expect(rows).toHaveLength(2);
});

test('a changed secret: check warns until what the old one sealed is sealed anew', async () => {
  await settings({ secret: ['another secret of the tests, thirty-two characters or more', SECRET] });
  expect((await tunnus('check')).out).toMatch(/warning: \d+ values in the database are not sealed by the first secret/);
  expect((await tunnus('keys', 'reseal')).out).toMatch(/^Sealed anew: \d+\.\n.*Others may go a day after/);
  expect((await tunnus('check')).out).not.toContain('not sealed by the first secret');
});
