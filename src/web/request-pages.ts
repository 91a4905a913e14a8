/**
 * Owns what the pages of a request to support have in common: one question a page, the answers kept with the sign-in until
 * they are sent, and nobody on a page whose earlier questions are open.
 */
import type { Context } from 'koa';
import { goOn, type ScreenParts, type Service } from './screen.ts';
import { emailOf, inSignIn } from './sign-in-pages.ts';

/** The answers so far. */
export interface Request {
  newEmail?: string;
  name?: string;
  /** As typed, where it had to wait. */
  services?: string;
  sent?: boolean;
}

export interface RequestUnderWay {
  uid: string;
  clientId: string;
  service: Service;
  /** The address that was lost. */
  email: string;
  request: Request;
  /** Keeps an answer with the others. */
  note: (answer: Request) => void;
}

type Step = 'address' | 'name' | 'services' | 'sent';

const PAGES: Readonly<Record<Step, string>> = {
  address: 'address-lost',
  name: 'your-name',
  services: 'your-services',
  sent: 'request-sent',
};

/** The furthest page that the answers lead to. What was sent is not sent again: a new request begins with its first page. */
function reached({ newEmail, name, sent }: Request): Step {
  if (sent) return 'sent';
  if (newEmail === undefined) return 'address';
  return name === undefined ? 'name' : 'services';
}

const ORDER: readonly Step[] = ['address', 'name', 'services', 'sent'];

export function inRequest(
  parts: ScreenParts,
  step: Step,
  work: (ctx: Context, underWay: RequestUnderWay) => Promise<void>,
): (ctx: Context) => Promise<void> {
  return inSignIn(parts, async (ctx, { underWay, service }) => {
    const { uid, clientId } = underWay;
    const email = emailOf(underWay);
    if (!email) return goOn(ctx, `/sign-in/${uid}`);
    const request = (underWay.facts['request'] ?? {}) as Request;
    const furthest = reached(request);
    const passed =
      furthest === 'sent' ? step === 'address' || step === 'sent' : ORDER.indexOf(step) <= ORDER.indexOf(furthest);
    // Where support has no mailbox there is nothing to ask but the first page's advice.
    const open = parts.config.support.email !== undefined || (step === 'address' && ctx.method === 'GET');
    if (!open) return goOn(ctx, `/sign-in/${uid}/address-lost`);
    if (!passed) return goOn(ctx, `/sign-in/${uid}/${PAGES[furthest]}`);
    const note = (answer: Request): void => {
      parts.gate.keep(ctx, underWay, { request: step === 'address' ? answer : { ...request, ...answer } });
    };
    await work(ctx, { uid, clientId, service, email, request, note });
  });
}
