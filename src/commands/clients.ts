/** The `tunnus clients` commands: which e-services there are, and whether their own addresses do what they must. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { ClientConfig } from '../config.ts';
import { configuration, DONE, FAILED, jsonOption, say, sayJson, Wrong } from './house.ts';

export function clientsCommands(tunnus: Command): void {
  const clients = tunnus.command('clients').description('the e-services in clients/*.yaml');
  clients
    .command('list')
    .addOption(jsonOption())
    .description('the e-services and what kind each is')
    .action(({ json }: { json?: boolean }) => {
      const rows = configuration().clients.map(rowOf);
      if (json) return sayJson(rows);
      const wide = (key: 'client_id' | 'kind'): number => Math.max(...rows.map((row) => row[key].length));
      for (const { client_id: id, kind, client_name: name, file } of rows)
        say(`${id.padEnd(wide('client_id'))}  ${kind.padEnd(wide('kind'))}  ${name}  (${file})`);
    });
  clients
    .command('check')
    .argument('<name>', 'the client_id, or the name of the file without .yaml')
    .addOption(jsonOption())
    .description("asks the e-service's own addresses whether they do what they must")
    .action((name: string, { json }: { json?: boolean }) => check(name, json));
}

/** What it is, in a word, and nothing that is secret. */
function rowOf({ client_id, client_name, file, ...client }: ClientConfig) {
  const { grant_types, scope, subject_type, consent } = client;
  const names = Object.values(client_name);
  return {
    client_id,
    kind: kindOf(client),
    client_name: names[0]!,
    file: basename(file),
    grant_types,
    scope,
    subject_type,
    consent,
  };
}

function kindOf({
  profile,
  application_type: type,
  token_endpoint_auth_method: method,
  ...client
}: Omit<ClientConfig, 'client_id' | 'client_name' | 'file'>): string {
  if (profile) return profile;
  if (!client.grant_types.includes('authorization_code')) return 'machine';
  if (type === 'native') return 'native';
  return method === 'none' ? 'single-page' : 'server-side';
}

async function check(name: string, json = false): Promise<void> {
  const { clients, issuer } = configuration();
  const client =
    clients.find(({ client_id: id }) => id === name) ?? clients.find(({ file }) => basename(file, '.yaml') === name);
  if (!client) {
    const known = clients.map(({ client_id: id }) => id).join(', ') || 'none';
    throw new Wrong(`no e-service is called ${name}, expected one of ${known}`);
  }
  const { probeClient } = await import('../journeys/client-probe.ts');
  const findings = await probeClient(client, { issuer, now: new Date() });
  if (json) sayJson(findings);
  else for (const { level, key, url, message } of findings) say(`${level}: ${key} ${url}: ${message}`);
  if (!json && !findings.length) say(`ok: ${client.client_id} has no address to ask`);
  process.exitCode = findings.some(({ level }) => level === 'fault') ? FAILED : DONE;
}
