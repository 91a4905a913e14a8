/** The unit and the compose file's proxy, tried with systemd's and nginx's own judgement. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-deploy-'));
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true }));

test('the unit is one that systemd takes, and shuts in what it starts', async () => {
  const unit = await readFile(join(root, 'deploy/tunnus.service'), 'utf8');
  const path = join(folder, 'tunnus.service');
  // Where it stands here instead of /opt/tunnus; the user is made at the installation.
  await writeFile(path, unit.replaceAll('/opt/tunnus', root).replaceAll(/^(User|Group)=.*$/gm, ''));
  const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', path]);
  expect((stdout + stderr).split('\n').filter((line) => line.includes('tunnus.service'))).toEqual([]);
  const security = await run('systemd-analyze', ['security', '--offline=true', join(root, 'deploy/tunnus.service')]);
  const [, exposure] = /Overall exposure level for tunnus\.service: ([\d.]+)/.exec(security.stdout)!;
  expect(Number(exposure)).toBeLessThanOrEqual(1.5);
});

test("the compose file's proxy runs deploy/nginx.conf with every name of its network in it", async () => {
  const { services } = parse(await readFile(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    services: Record<string, { command?: string[] }>;
  };
  const [shell, flag, script] = services['proxy']!.command!;
  const made = join(folder, 'nginx.conf');
  const sed = script!.split('&&')[0]!.replace('/etc/tunnus/', `${root}/deploy/`).replace('/tmp/nginx.conf', made);
  await run(shell!, [flag!, sed]);
  const text = await readFile(made, 'utf8');
  for (const name of ['node-1', 'node-2']) {
    expect(services).toHaveProperty(name);
    expect(text).toContain(`server ${name}:3000;`);
  }
  const settings = text.replaceAll(/^\s*#.*$/gm, '');
  expect(settings).not.toMatch(/127\.0\.0\.1|example\.fi/);

  await run('openssl', [
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost'.split(' '),
    ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')],
  ]);
  // The names are the network's own: here they are this machine.
  const here = text
    .replaceAll(/node-[12]/g, '127.0.0.1')
    .replaceAll('/etc/ssl/tunnus', folder)
    .replaceAll('/dev/stdout', `${folder}/access.log`);
  await writeFile(made, `pid ${folder}/nginx.pid;\n${here}`);
  const { stderr } = await run('/usr/sbin/nginx', ['-t', '-c', made, '-e', `${folder}/error.log`]);
  expect(stderr).toContain('test is successful');
});
