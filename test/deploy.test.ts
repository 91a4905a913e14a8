/**
 * What stands in Dockerfile and docker-compose.yml fits this repository, as far as that can be told without an engine: what is
 * copied is there and not kept out, each service has what it leans on, the settings are read by our own reader.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { clientFile, configFolder, configOf, SECRET } from './config/config-folder.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Service {
  image: string;
  build?: string;
  user?: string;
  depends_on?: Record<string, { condition: string }>;
  environment?: Record<string, string>;
  healthcheck?: object;
  configs?: { source: string; target: string }[];
  volumes?: string[];
  ports?: string[];
  read_only?: boolean;
  command?: string[];
}
interface Compose {
  services: Record<string, Service>;
  configs: Record<string, { content: string }>;
  volumes: Record<string, null>;
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const nodes = services.filter(([, { build }]) => build);
const dockerfile = read('Dockerfile').replace(/\\\n/g, '');
const instructions = dockerfile
  .split('\n')
  .filter((line) => /^[A-Z]+ /.test(line))
  .map((line) => ({ what: line.split(' ')[0]!, rest: line.slice(line.indexOf(' ') + 1).trim() }));
const all = (what: string) => instructions.filter((one) => one.what === what).map(({ rest }) => rest);

test('the image copies only what is there, and what the build may see', () => {
  const seen = read('.dockerignore').split('\n');
  const copied = all('COPY')
    .filter((rest) => !rest.startsWith('--from='))
    .flatMap((rest) => rest.split(' ').slice(0, -1));
  expect(copied).toContain('src');
  expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(copied.filter((path) => !seen.includes(`!${path}`))).toEqual([]);
  // And all that the code reads beside itself.
  for (const path of ['package.json', 'sql', 'views']) expect(copied).toContain(path);
});

test('the image is built in stages, runs as an ordinary user, and starts the server itself', () => {
  expect(all('FROM')).toEqual(['node:24-trixie-slim AS packages', 'node:24-trixie-slim']);
  expect(all('USER')).toEqual(['node']);
  const command = JSON.parse(all('CMD')[0]!) as string[];
  expect(command[0]).toBe('node');
  expect(existsSync(join(root, command.at(-2)!))).toBe(true);
  expect(JSON.stringify(parse(read('package.json')))).toContain(command.slice(0).join(' '));
});

test("the image's health check tells a live node from a dead one", async () => {
  const [, script] = /CMD (\[.*\])$/.exec(all('HEALTHCHECK')[0]!)!;
  const [program, ...words] = JSON.parse(script!) as string[];
  expect(program).toBe('node');
  let status = 200;
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/health/live' ? status : 404;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const health = () =>
    new Promise<number>((resolve) => {
      const child = execFile(
        process.execPath,
        words.map((word) => word.replace('9464', String(port))),
        () => {},
      );
      child.on('exit', (code) => resolve(code ?? -1));
    });
  expect(await health()).toBe(0);
  status = 503;
  expect(await health()).toBe(1);
  server.close();
});

test('every service leans only on what is there, and waits for health only where it is asked', () => {
  for (const [, service] of services) {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const other = compose.services[name];
      expect(other).toBeDefined();
      if (condition === 'service_healthy') expect(other!.healthcheck ?? other!.build).toBeDefined();
    }
    for (const { source } of service.configs ?? []) expect(compose.configs).toHaveProperty(source);
    for (const volume of service.volumes ?? []) {
      const from = volume.split(':')[0]!;
      if (from.startsWith('.')) expect(existsSync(join(root, from))).toBe(true);
      else expect(compose.volumes).toHaveProperty(from);
    }
    // Nothing that changes by itself, but our own.
    if (!service.build) expect(service.image).toMatch(/:v?\d[\w.-]*$/);
    // To this machine only; and metrics to nobody.
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:(?!.*9464)/);
  }
});

test('two nodes share database, mail server and secret by the names of the network; their root is read-only', () => {
  expect(nodes).toHaveLength(2);
  for (const [, node] of nodes) {
    const { DATABASE_URL, SMTP_URL, TUNNUS_SECRET } = node.environment!;
    expect(compose.services).toHaveProperty(new URL(DATABASE_URL!.replace(/\$\{[^}]*\}/, 'x')).hostname);
    expect(compose.services).toHaveProperty(new URL(SMTP_URL!).hostname);
    // Whoever forgets it is told so.
    expect(TUNNUS_SECRET).toMatch(/^\$\{TUNNUS_SECRET:\?/);
    expect(node.read_only).toBe(true);
  }
});

test('the settings are read as they stand, and are those of a node behind one proxy', () => {
  const env = {
    DATABASE_URL: 'postgres://tunnus:x@database:5432/tunnus',
    SMTP_URL: 'smtp://mail:1025',
    TUNNUS_SECRET: SECRET,
  };
  const files = { 'tunnus.yaml': compose.configs['settings']!.content, 'clients/library.yaml': clientFile() };
  const { issuer, listen } = configOf(files, env);
  expect(listen).toMatchObject({ host: '0.0.0.0', proxies: 1, metricsPort: 9464 });
  expect(compose.services['proxy']!.ports).toEqual([`127.0.0.1:${new URL(issuer).port}:443`]);
});

test('deploy/tunnus runs a command with the environment of a node, from any folder', async () => {
  const folder = configFolder({
    'tunnus.yaml': 'issuer: https://id.example.fi\nlisten: { port: "${PORT}", metricsPort: "${METRICS_PORT}" }',
    'clients/library.yaml': clientFile().replace(/^client_secret:.*$/m, 'client_secret: ${LIBRARY_SECRET}'),
    environment: `LIBRARY_SECRET=${SECRET}`,
  });
  const script = read('deploy/tunnus')
    .replaceAll('/etc/tunnus', folder)
    .replaceAll('/opt/tunnus', root.replace(/\/$/, ''));
  const ran = await promisify(execFile)('sh', ['-c', script, 'tunnus', 'clients', 'list'], { cwd: '/', env: {} });
  expect(ran.stdout).toMatch(/^library /);
});
