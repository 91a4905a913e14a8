/** The alert rules and the metrics, tried with the real Prometheus and its promtool. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../src/demo/ports.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');

let folder: string;
let world: World;
let prometheus: ChildProcess;
let address: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-prometheus-'));
  world = await startWorld();
  const port = await freePort();
  address = `http://127.0.0.1:${port}`;
  const target = `127.0.0.1:${world.tunnus.metricsPort}`;
  // JSON is YAML.
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(DEPLOY, 'alerts.yml')],
    scrape_configs: [{ job_name: 'tunnus', static_configs: [{ targets: [target] }] }],
  };
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
  prometheus = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
});
afterAll(async () => {
  prometheus.kill();
  await once(prometheus, 'exit');
  await world.close();
  await rm(folder, { recursive: true });
});

/** Its words, with an error where it ends with another code than 0. */
function promtool(words: string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('promtool', words, (error, out, err) =>
      error ? reject(new Error(`promtool ${words.join(' ')}: ${out}${err}`)) : resolve(out + err),
    );
    child.stdin!.end(input);
  });
}

test('the rules are rules, and raise what they should when they should', async () => {
  expect(await promtool(['check', 'rules', join(DEPLOY, 'alerts.yml')])).toContain('SUCCESS');
  expect(await promtool(['test', 'rules', join(DEPLOY, 'alerts.test.yml')])).toContain('SUCCESS');
});

test('the metrics are written as Prometheus asks for', async () => {
  const answer = await fetch(`http://127.0.0.1:${world.tunnus.metricsPort}/metrics`);
  const lines = await promtool(['check', 'metrics'], await answer.text()).catch((error: Error) => error.message);
  // What Node itself tells keeps the names that dashboards know.
  expect(lines.split('\n').filter((line) => line.startsWith('tunnus_'))).toEqual([]);
});

interface Answer<T> {
  data: T;
}
interface Rules {
  groups: { rules: { name: string; query: string; health: string; state: string; lastEvaluation: string }[] }[];
}
type Values = { result: { value: [number, string] }[] };

/** Undefined while it does not answer yet. */
const ask = <T>(path: string): Promise<T | undefined> =>
  fetch(`${address}/api/v1/${path}`).then(
    async (answer) => ((await answer.json()) as Answer<T>).data,
    () => undefined,
  );

test('a Prometheus that scrapes a node evaluates every rule, and a healthy node raises none', async () => {
  const scrape = async () => (await ask<Values>('query?query=tunnus_database_up'))?.result[0];
  const up = await until('a scrape', scrape, 25_000);
  expect(up.value[1]).toBe('1');
  const scraped = Date.now();
  const evaluated = async () => {
    const all = (await ask<Rules>('rules'))?.groups.flatMap((group) => group.rules) ?? [];
    return all.length > 0 && all.every((rule) => Date.parse(rule.lastEvaluation) > scraped) && all;
  };
  const rules = await until('the rules are evaluated', evaluated, 25_000);
  expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  expect(rules.filter(({ state }) => state !== 'inactive').map(({ name }) => name)).toEqual([]);

  // What a rule asks for is there: a renamed metric would only make its alert silent.
  const metrics = await (await fetch(`http://127.0.0.1:${world.tunnus.metricsPort}/metrics`)).text();
  const wanted = rules.flatMap(({ query }) => query.match(/\b(?:tunnus|nodejs)_\w+/g) ?? []);
  const isThere = (name: string): boolean => metrics.includes(`# TYPE ${name.replace(/_(?:count|bucket|sum)$/, '')} `);
  expect([...new Set(wanted)].filter((name) => !isThere(name))).toEqual([]);
});
