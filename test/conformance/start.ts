/**
 * `npm run conformance`: a Tunnus for the OpenID Foundation's conformance suite, with its clients, its resident and TLS in
 * front, until Ctrl-C. `-- --issuer URL --suite URL` where they are found elsewhere; `-- --plans FOLDER` only writes the
 * suite's configurations for these addresses. docs/conformance.md has the way from here to a result.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startTunnus } from '../../src/app.ts';
import { describeFaults, readConfig } from '../../src/config.ts';
import { importAccounts } from '../../src/journeys/import-accounts.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { ONE_MACHINE, PLANS, type Place } from './plans.ts';

const here = import.meta.dirname;
const folder = join(here, '../../.data/conformance');
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: { issuer: { type: 'string' }, suite: { type: 'string' }, plans: { type: 'string' } },
});
const place: Place = { issuer: values.issuer ?? ONE_MACHINE.issuer, suite: values.suite ?? ONE_MACHINE.suite };
if (values.plans) writePlans(values.plans);
else await serve();

function writePlans(into: string): void {
  for (const [name, { configuration }] of Object.entries(PLANS))
    writeFileSync(join(into, `${name}.json`), `${JSON.stringify(configuration(place), null, 2)}\n`);
}

async function serve(): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { hostname, port } = new URL(place.issuer);
  const outside = Number(port || 443);
  const { config, faults } = readConfig(join(here, 'config'), {
    CONFORMANCE_ISSUER: place.issuer,
    CONFORMANCE_SUITE: place.suite,
    CONFORMANCE_PORT: String(outside + 1),
    CONFORMANCE_METRICS_PORT: String(outside + 2),
    CONFORMANCE_FOLDER: folder,
  });
  if (!config) throw new Error(describeFaults(faults));
  const log = makeLog();
  const tunnus = await startTunnus({ config, log });
  const list = { file: join(here, 'config/residents.csv'), source: 'conformance' };
  const outcome = await importAccounts({ ...tunnus, log }, list, new Date());
  if ('refused' in outcome) throw new Error(outcome.refused);
  const front = inFrontOf(tunnus.port).listen(outside);
  await once(front, 'listening');
  say(
    `\nTunnus answers at ${place.issuer} (this machine must know ${hostname}) and expects the suite at ${place.suite}.`,
  );
  for (const [name, { expression }] of Object.entries(PLANS)) say(`  ${expression} ${name}.json`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  front.close();
  front.closeAllConnections();
  await tunnus.close();
}

/** The suite speaks https only. What FAPI 2.0, 5.2.2 asks of TLS 1.2 holds here for every plan. */
function inFrontOf(port: number): Server {
  const tls = {
    key: readFileSync(join(here, 'tls/key.pem')),
    cert: readFileSync(join(here, 'tls/cert.pem')),
    minVersion: 'TLSv1.2',
    ciphers: [
      'TLS_AES_128_GCM_SHA256',
      'TLS_AES_256_GCM_SHA384',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
    ].join(':'),
  } as const;
  return createServer(tls, (incoming, answer) => {
    const { method, url: path, headers, socket } = incoming;
    const passed = { ...headers, 'x-forwarded-for': socket.remoteAddress ?? '', 'x-forwarded-proto': 'https' };
    const inner = request({ host: '127.0.0.1', port, method, path, headers: passed }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    inner.on('error', () => answer.destroy());
    incoming.pipe(inner);
  });
}
