/**
 * The one renderer of pages: view and words in the right language, with the headers, the form token, the brand and the
 * support contact that every page carries. Screens ask `pageOf(ctx)` and know nothing of pug.
 * Owns the resident's choice of language (the switch and its cookies); what a page says is the screen's and the text files'.
 */
import { fileURLToPath } from 'node:url';
import type { Context, Middleware } from 'koa';
import views from 'koa-views';
import type { Config } from '../config.ts';
import type { Language, Texts, Translate, Values } from '../platform/i18n.ts';
import { chooseLanguage } from '../platform/i18n.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Assets } from './assets.ts';
import type { FormGuard } from './form.ts';
import { FORM_TOKEN_FIELD, makeFormGuard, readQuery, writeCookie } from './form.ts';
import { formTarget, setPageHeaders } from './security-headers.ts';

export interface PageTools {
  texts: Texts;
  config: Pick<Config, 'brand' | 'support' | 'languages' | 'issuer'>;
  sealer: Sealer;
  assets: Assets;
}

export interface FieldError {
  /** The id and name of the faulty field. */
  field: string;
  /** A text key. */
  key: string;
  values?: Values;
}

export type AskedLater = FieldError & { why: { status: number; retryAfter?: number } };

export interface Page {
  readonly language: Language;
  readonly t: Translate;
  /** What the e-service asked for, and the signed-in resident's own choice; call it before the first use of `t`. */
  preferLanguage(uiLocales: string | undefined, own?: string | null): void;
  /** Lets a form of this page end in a redirect to this address. */
  allowFormTarget(uri: string): void;
  duration(milliseconds: number, form: 'lasting' | 'after'): string;
  render(view: string, locals?: object, options?: { status?: number }): Promise<void>;
  /** The page for a Problem: what happened, what to do, and the number under which the log has it. */
  problem(
    problem: { code: string; status: number },
    locals?: { reference?: string; service?: object; signOut?: string },
  ): Promise<void>;
  /** The same page again, with what was wrong with the input (422). */
  refuse(view: string, locals: object, errors: FieldError[]): Promise<void>;
  /** The same page again, with what was typed and when to send it once more (429, 503). */
  askLater(view: string, locals: object, later: AskedLater): Promise<void>;
}

type Renderer = (ctx: Context, view: string, locals: object) => Promise<unknown>;

const VIEWS = fileURLToPath(new URL('../../views', import.meta.url));
/**
 * The choice of the language. `here` beats what the e-service asked for, on the pages of this one sign-in, and the account's own
 * language on the resident's own pages: the switch would else last for one page only. Under https no neighbour can set either.
 */
const languageCookies = (https: boolean) => ({
  kept: https ? '__Host-tunnus_language' : 'tunnus_language',
  here: https ? '__Secure-tunnus_language_here' : 'tunnus_language_here',
});
const OWN_NAMES: Readonly<Record<Language, string>> = { fi: 'Suomi', sv: 'Svenska', en: 'English' };
/** What pages say of a Problem; a code that has no words of its own is a fault of ours. */
const PROBLEMS: Readonly<Record<string, { title: string; text: string }>> = {
  not_found: { title: 'problem.not_found_title', text: 'problem.not_found_text' },
  form_expired: { title: 'problem.form_expired_title', text: 'problem.form_expired_text' },
  bad_form: { title: 'problem.bad_form_title', text: 'problem.bad_form_text' },
  form_too_large: { title: 'problem.form_too_large_title', text: 'problem.form_too_large_text' },
  bad_request: { title: 'problem.bad_request_title', text: 'problem.bad_request_text' },
  method_not_allowed: { title: 'problem.not_found_title', text: 'problem.not_found_text' },
  sign_in_lost: { title: 'stale.title', text: 'stale.no_way' },
  unknown_service: { title: 'problem.unknown_service_title', text: 'problem.unknown_service_text' },
  sign_out_error: { title: 'problem.sign_out_error_title', text: 'problem.sign_out_error_text' },
  service_error: { title: 'problem.service_error_title', text: 'problem.service_error_text' },
};
const FAULT = { title: 'problem.unexpected_title', text: 'problem.unexpected_text' };
const YEAR = 365 * 24 * 3_600_000;

export function pageOf(ctx: Context): Page {
  return ctx.state.page as Page;
}

export function pages(tools: PageTools): Middleware {
  const guard = makeFormGuard({ sealer: tools.sealer, issuer: tools.config.issuer });
  const withViews = views(VIEWS, { extension: 'pug', options: { cache: true, compileDebug: false, basedir: VIEWS } });
  const renderer: Renderer = (ctx, view, locals) => ctx.render(`${view}.pug`, locals);
  return (ctx, next) => {
    ctx.state.formGuard = guard;
    ctx.state.page = makePage(ctx, { ...tools, guard, renderer });
    return withViews(ctx, next) as Promise<unknown>;
  };
}

function makePage(ctx: Context, tools: PageTools & { guard: FormGuard; renderer: Renderer }): Page {
  const { texts, config, guard, assets } = tools;
  const https = config.issuer.startsWith('https:');
  const cookies = languageCookies(https);
  const formTargets = new Set<string>();
  const switchedTo = applySwitch(ctx, { offer: config.languages, https });
  const wishes = {
    acceptLanguage: ctx.get('Accept-Language'),
    cookie: ctx.cookies.get(cookies.kept, { signed: false }),
  };
  const choose = (uiLocales?: string, own?: string | null): Language => {
    const here = ctx.cookies.get(cookies.here, { signed: false });
    return chooseLanguage(config.languages, {
      ...wishes,
      uiLocales: [switchedTo ?? here ?? '', uiLocales ?? ''].join(' '),
      own,
    });
  };
  let language = choose(readQuery(ctx, 'ui_locales', 200));
  let t = texts.for(language);

  const show = async (view: string, locals: object, errors: FieldError[]): Promise<void> => {
    setPageHeaders(ctx, [...formTargets]);
    ctx.set('Content-Language', language);
    const messages = errors.map(({ field, key, values }) => ({ field, message: t(key, values) }));
    await tools.renderer(ctx, view, {
      ...locals,
      t,
      language,
      languages: config.languages.map((code) => ({ code, name: OWN_NAMES[code], url: switchUrl(ctx, code) })),
      pageUrl: ownPath(ctx),
      brand: config.brand.name[language],
      support: {
        email: config.support.email,
        phone: config.support.phone,
        hours: config.support.hours?.[language],
      },
      day: (date: Date) => texts.day(language, date),
      moment: (date: Date) => texts.moment(language, date),
      asset: (name: string) => assets.url(name),
      form: { field: FORM_TOKEN_FIELD, token: () => guard.token(ctx) },
      errors: messages,
    });
  };

  return {
    get language() {
      return language;
    },
    get t() {
      return t;
    },
    preferLanguage(uiLocales, own) {
      language = choose(uiLocales, own);
      t = texts.for(language);
    },
    allowFormTarget(uri) {
      const target = formTarget(uri);
      if (target) formTargets.add(target);
    },
    duration: (milliseconds, form) => texts.duration(language, milliseconds, form),
    async render(view, locals = {}, { status = 200 } = {}) {
      ctx.status = status;
      await show(view, locals, []);
    },
    async problem({ code, status }, locals = {}) {
      ctx.status = status;
      if (status === 503) return show('busy', { ...locals, again: againUrl(ctx) }, []);
      const { title, text } = (Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : undefined) ?? FAULT;
      await show('problem', { ...locals, title: t(title), text: t(text) }, []);
    },
    async refuse(view, locals, errors) {
      ctx.status = 422;
      await show(view, locals, errors);
    },
    async askLater(view, locals, { why, ...error }) {
      ctx.status = why.status;
      ctx.set('Retry-After', String(why.retryAfter));
      await show(view, locals, [error]);
    },
  };
}

/** The pages that the switch holds for: those of one sign-in, the resident's own. */
const PLACE = /^\/account(?=\/|$)|^\/[\w-]+\/[\w-]+/;

/** `?lang=sv` on any page: kept for the next visits, and before any other wish in this place. */
function applySwitch(
  ctx: Context,
  { offer, https }: { offer: readonly Language[]; https: boolean },
): Language | undefined {
  const chosen = readQuery(ctx, 'lang', 10);
  const language = offer.find((code) => code === chosen);
  if (!language) return undefined;
  const cookies = languageCookies(https);
  writeCookie(ctx, { name: cookies.kept, value: language, secure: https, maxAge: YEAR });
  const path = PLACE.exec(ctx.path)?.[0];
  if (path) writeCookie(ctx, { name: cookies.here, value: language, secure: https, path });
  return language;
}

/** A path of this site: one that begins with two slashes would be another's address. */
const ownPath = (ctx: Context): string => ctx.path.replace(/^[/\\]+/, '/');

/** The same request once more; what was posted is not sent again. */
const againUrl = (ctx: Context): string => ownPath(ctx) + (ctx.method === 'POST' ? '' : ctx.search);

function switchUrl(ctx: Context, language: Language): string {
  const query = new URLSearchParams(ctx.querystring);
  query.set('lang', language);
  return `${ownPath(ctx)}?${query.toString()}`;
}
