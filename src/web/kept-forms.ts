/**
 * Owns what was typed into a form whose sign-in had grown old, or was over, when it came: sealed in the browser's own cookie, for
 * that page alone, it waits while the resident signs in, and then stands in the form again. It comes back once, within an hour, and
 * to the resident whose form it was (its token says so). A screen names the fields that are kept: never a password or a code.
 */
import type { Context } from 'koa';
import type { Sealer } from '../platform/secrets.ts';
import { readLateForm, writeCookie, type FormGuard } from './form.ts';

/** By the names of its fields; none where nothing was kept. */
export type Typed = Readonly<Record<string, string>>;

export interface KeptForms {
  keep(ctx: Context, names: readonly string[]): Promise<void>;
  takeBack(ctx: Context): Typed;
}

const PURPOSE = 'kept-form';
const HOUR = 3_600_000;
/** Browsers drop cookies above about 4 KB without a word; who types more than this into a name types it again. */
const LONGEST = 3000;

export function keptForms({ sealer, issuer }: { sealer: Sealer; issuer: string }): KeptForms {
  const secure = issuer.startsWith('https:');
  const name = secure ? '__Secure-tunnus_typed' : 'tunnus_typed';
  return {
    async keep(ctx, names) {
      const late = await readLateForm(ctx, names);
      const value = sealer.seal(JSON.stringify(late), PURPOSE);
      if (Object.keys(late.typed).length > 0 && value.length <= LONGEST)
        writeCookie(ctx, { name, value, secure, path: ctx.path, maxAge: HOUR });
    },
    takeBack(ctx) {
      const sealed = ctx.cookies.get(name, { signed: false });
      if (!sealed) return {};
      writeCookie(ctx, { name, value: '', secure, path: ctx.path, maxAge: 0 });
      const kept = sealer.open(sealed, PURPOSE);
      if (kept === undefined) return {};
      const { token, typed } = JSON.parse(kept) as { token?: string; typed: Typed };
      return (ctx.state.formGuard as FormGuard).fits(ctx, token) ? typed : {};
    },
  };
}
