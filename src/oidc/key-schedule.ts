/**
 * Owns when the provider gets new keys: at the times that their rows name, when another node has changed them, and once an
 * hour to make what is due. A missed message or a timer that slept too long only delays; the clock decides.
 */
import type { JWKS } from 'oidc-provider';
import type { Log } from '../platform/telemetry.ts';
import type { Keys } from './keys.ts';

const HOUR = 3_600_000;
/** After a fault. */
const SOON = 10_000;

export async function scheduleKeys({
  keys,
  clock,
  believed,
  log,
  changed,
}: {
  keys: Keys;
  clock: () => Date;
  /** Keys come and go by the clock: not by one that is wrong. */
  believed: () => Promise<boolean>;
  log: Log;
  changed: (jwks: JWKS) => void;
}): Promise<{ stop(): Promise<void> }> {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const refresh = async (): Promise<void> => {
    if (stopped) return;
    clearTimeout(timer);
    let wait = HOUR;
    try {
      if (await believed()) await keys.rotate(clock());
      changed(await keys.jwks(clock()));
      const next = await keys.changesAt(clock());
      if (next) wait = Math.min(HOUR, Math.max(1000, next.getTime() - clock().getTime()));
    } catch (error) {
      wait = SOON;
      log.error({ err: error }, 'could not read the signing keys; the present ones stay');
    }
    if (!stopped) timer = setTimeout(() => void refresh(), wait).unref();
  };

  const unwatch = await keys.watch(() => void refresh());
  timer = setTimeout(() => void refresh(), HOUR).unref();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await unwatch();
    },
  };
}
