/**
 * Password checks alone, four at once: by npm's argon2, and by what Tunnus uses on this machine. Told by a message which and
 * for how long; answers with how many, and the processor time of each in milliseconds.
 */
import argon2 from 'argon2';
import { COST, hash, verify } from '../src/records/hashing.ts';

export interface HashOrders {
  by: 'argon2' | 'tunnus';
  milliseconds: number;
}

export interface HashesCounted {
  perSecond: number;
  cpu: number;
}

const PASSWORD = 'kolme punaista venettä laiturissa';
const stored = { argon2: await argon2.hash(PASSWORD, COST), tunnus: await hash(PASSWORD) };
const check = { argon2: (phc: string) => argon2.verify(phc, PASSWORD), tunnus: (phc: string) => verify(phc, PASSWORD) };

process.on('message', (orders: HashOrders) => void run(orders).then((counted) => process.send!(counted)));
process.on('disconnect', () => process.exit());

async function run({ by, milliseconds }: HashOrders): Promise<HashesCounted> {
  const begun = performance.now();
  const before = process.cpuUsage();
  let done = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - begun < milliseconds) {
      await check[by](stored[by]);
      done += 1;
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  const { user, system } = process.cpuUsage(before);
  return { perSecond: (done * 1000) / (performance.now() - begun), cpu: (user + system) / 1000 / done };
}
