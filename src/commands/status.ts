/** `tunnus status`: how the service is, on one screen. */
import type { Command } from 'commander';
import { STEPS } from '../journeys/progress.ts';
import { iso, isThere, type Status } from '../journeys/status.ts';
import { DONE, FAILED, jsonOption, say, sayJson, withHouse } from './house.ts';

export function statusCommand(tunnus: Command): void {
  tunnus
    .command('status')
    .addOption(jsonOption())
    .description(
      'how the service is: nodes, mails, keys, sweeping, the move; ends with 1 where something is to be looked at',
    )
    .action(({ json }: { json?: boolean }) =>
      withHouse(async (house) => {
        const { statusFor } = await import('../desk.ts');
        const found = await statusFor(house, new Date());
        if (json) sayJson(found);
        else lines(found).forEach(say);
        process.exitCode = found.warnings.length ? FAILED : DONE;
      }),
    );
}

const line = (name: string, value: string): string => `${name.padEnd(13)}${value}`;

/** `-` for a time to come. */
function ago(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000);
  const size = Math.abs(seconds);
  if (size < 100) return `${seconds} s`;
  if (size < 6_000) return `${Math.round(seconds / 60)} min`;
  return size < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}

function lines(found: Status): string[] {
  const { at, nodes, mails, keys, certificate, leftOver, move, warnings } = found;
  const overdue = Object.entries(leftOver).sort(([, a], [, b]) => b - a)[0]!;
  const all = move.find(({ source }) => source === null);
  return [
    line('at', iso(at)),
    line('database', 'answers'),
    ...(nodes.length ? [] : [line('nodes', 'none')]),
    ...nodes.map((node, index) => {
      const state = node.stopping ? 'stopping' : isThere(node, at) ? 'ready' : 'silent';
      const { name, version, configuration, seenAt, startedAt } = node;
      const seen = `seen ${ago(seenAt, at)} ago, up ${ago(startedAt, at)}`;
      return line(
        index ? '' : 'nodes',
        `${name}  ${state}  version ${version}  configuration ${configuration}  ${seen}`,
      );
    }),
    line(
      'mails',
      `${mails.queued} queued, ${mails.delayed} delayed${mails.since ? `, the oldest for ${ago(mails.since, at)}` : ''}; ` +
        `within a day ${mails.refused} refused, ${mails.givenUp} given up, ${mails.bounced} came back`,
    ),
    ...keys.map(({ alg, retiresAt, nextAt }, index) =>
      line(
        index ? '' : 'keys',
        `${alg} ${retiresAt ? `signs until ${iso(retiresAt)}` : 'is overdue'}${nextAt ? `, the next one is published and signs from ${iso(nextAt)}` : ''}`,
      ),
    ),
    ...(certificate
      ? [
          line(
            'certificate',
            'endsAt' in certificate ? `until ${iso(certificate.endsAt)}` : `not seen: ${certificate.failed}`,
          ),
        ]
      : []),
    line('sweeping', overdue[1] > 0 ? `${overdue[0]} ${overdue[1]} s overdue` : 'nothing is overdue'),
    ...(all
      ? [
          line(
            'the move',
            STEPS.filter((step) => all[step])
              .map((step) => `${step.replaceAll('_', ' ')} ${all[step]}`)
              .join(', '),
          ),
        ]
      : []),
    '',
    ...(warnings.length ? warnings.map((warning) => `! ${warning}`) : ['Nothing to look at.']),
  ];
}
