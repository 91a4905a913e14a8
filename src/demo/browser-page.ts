/**
 * A page's HTML made into what one can do with it: its title and text, its links, its forms.
 */
import { parse } from 'node-html-parser';
import type { HTMLElement } from 'node-html-parser';
import type { Asked } from './passkey.ts';

export interface Field {
  name: string;
  value: string;
  /** The autocomplete token by which browsers know what belongs here: the last one, but for `webauthn`. */
  autocomplete: string;
}

export interface Form {
  action: string;
  /** What is sent unless it is changed; the first submit button too, where it has a name. */
  fields: Field[];
  /** What may be ticked besides. */
  boxes: { name: string; value: string }[];
  /** The text of its first submit button. */
  button: string;
  /** What it asks a passkey: to be made, or to answer. */
  passkey?: { does: 'create' | 'get'; asked: Asked };
}

export interface Page {
  url: string;
  status: number;
  language: string;
  title: string;
  heading: string;
  text: string;
  links: { href: string; text: string }[];
  /** All forms that post. */
  forms: Form[];
  /** The first form[method=post] in main. */
  mainForm?: Form;
}

export function parsePage({ url, status, html }: { url: string; status: number; html: string }): Page {
  const document = parse(html);
  const posting = (within: string) =>
    document.querySelectorAll(`${within} form`).filter((form) => form.getAttribute('method')?.toLowerCase() === 'post');
  const [mainForm] = posting('main');
  return {
    url,
    status,
    language: document.querySelector('html')?.getAttribute('lang') ?? '',
    title: textOf(document.querySelector('title')),
    heading: textOf(document.querySelector('h1')),
    text: textOf(document.querySelector('body') ?? document),
    links: document
      .querySelectorAll('a[href]')
      .map((link) => ({ href: new URL(link.getAttribute('href')!, url).href, text: textOf(link) })),
    forms: posting('body').map((form) => readForm(form, url)),
    mainForm: mainForm && readForm(mainForm, url),
  };
}

function readForm(form: HTMLElement, url: string): Form {
  const button = form.querySelector('button:not([type]), button[type=submit], input[type=submit]');
  const sent = form.querySelectorAll('input[name]').filter(isSent);
  if (button?.getAttribute('name')) sent.push(button);
  return {
    action: new URL(form.getAttribute('action') || url, url).href,
    fields: sent.map((input) => ({
      name: input.getAttribute('name')!,
      value: input.getAttribute('value') ?? '',
      autocomplete: tokensOf(input).findLast((token) => token !== 'webauthn') ?? '',
    })),
    boxes: form
      .querySelectorAll('input[type=checkbox][name]:not([checked])')
      .map((box) => ({ name: box.getAttribute('name')!, value: box.getAttribute('value') ?? 'on' })),
    button: textOf(button) || (button?.getAttribute('value') ?? ''),
    passkey: readPasskey(form),
  };
}

function readPasskey(form: HTMLElement): Form['passkey'] {
  const does = form.getAttribute('data-passkey');
  if (does !== 'create' && does !== 'get') return undefined;
  return { does, asked: JSON.parse(form.getAttribute('data-options')!) as Asked };
}

function isSent(input: HTMLElement): boolean {
  const type = input.getAttribute('type') ?? 'text';
  if (input.hasAttribute('disabled') || type === 'submit' || type === 'button') return false;
  return (type !== 'checkbox' && type !== 'radio') || input.hasAttribute('checked');
}

function tokensOf(input: HTMLElement): string[] {
  return input.getAttribute('autocomplete')?.split(/\s+/) ?? [];
}

/** As it is read: structuredText keeps the words of neighbouring blocks apart. */
function textOf(element: HTMLElement | null): string {
  return element?.structuredText.replace(/\s+/g, ' ').trim() ?? '';
}
