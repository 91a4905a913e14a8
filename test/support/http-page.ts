/**
 * An answer read as a page: what a resident sees (title, heading, text, links) and what a browser would send (forms).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { parse } from 'node-html-parser';
import type { HTMLElement } from 'node-html-parser';

export interface FilledForm {
  action: URL;
  method: 'GET' | 'POST';
  values: [string, string][];
}

export class HttpPage {
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly html: string;
  readonly root: HTMLElement;

  constructor(answer: { url: URL; status: number; headers: IncomingHttpHeaders; body: string }) {
    this.url = answer.url;
    this.status = answer.status;
    this.headers = answer.headers;
    this.html = answer.body;
    this.root = parse(answer.body);
  }

  /** Where a redirect leads that was not followed. */
  get leadsTo(): URL | undefined {
    const { location } = this.headers;
    return this.status >= 300 && this.status < 400 && location ? new URL(location, this.url) : undefined;
  }

  get lang(): string {
    return this.root.querySelector('html')?.getAttribute('lang') ?? '';
  }

  get title(): string {
    return readable(this.root.querySelector('title'));
  }

  /** The one h1 of the page; more or fewer are an error, as the pages promise. */
  get h1(): string {
    const headings = this.root.querySelectorAll('h1');
    if (headings.length !== 1) throw new Error(`${headings.length} h1 on ${this.#name}`);
    return readable(headings[0]);
  }

  /** All that can be read in main. */
  get text(): string {
    return readable(this.main);
  }

  get main(): HTMLElement {
    const mains = this.root.querySelectorAll('main');
    if (mains.length !== 1) throw new Error(`${mains.length} main on ${this.#name}`);
    return mains[0]!;
  }

  get json(): unknown {
    return JSON.parse(this.html) as unknown;
  }

  get links(): { text: string; url: URL }[] {
    return this.root.querySelectorAll('a[href]').map((link) => ({
      text: readable(link),
      url: new URL(link.getAttribute('href') ?? '', this.url),
    }));
  }

  /** The address behind the first link with this text (or that a selector finds). */
  link(textOrSelector: string): URL {
    const byText = this.links.find(({ text }) => text === textOrSelector);
    if (byText) return byText.url;
    const found = /[#.[\]]/.test(textOrSelector) ? this.root.querySelector(textOrSelector) : undefined;
    if (!found) throw new Error(`no link '${textOrSelector}' on ${this.#name}`);
    return new URL(found.getAttribute('href') ?? '', this.url);
  }

  /** A field of the main form by its autocomplete token, else by its name. */
  field(tokenOrName: string, form = this.form()): HTMLElement | undefined {
    const fields = form.querySelectorAll('input, select, textarea');
    const tokens = (field: HTMLElement) => (field.getAttribute('autocomplete') ?? '').split(/\s+/);
    return (
      fields.find((field) => tokens(field).includes(tokenOrName)) ??
      fields.find((field) => field.getAttribute('name') === tokenOrName)
    );
  }

  /** The message of a faulty field, as a screen reader ties it; undefined where the field is in order. */
  faultOf(tokenOrName: string): string | undefined {
    const field = this.field(tokenOrName);
    if (field?.getAttribute('aria-invalid') !== 'true') return undefined;
    const ids = (field.getAttribute('aria-describedby') ?? '').split(/\s+/).filter(Boolean);
    return ids
      .map((id) => readable(this.root.querySelector(`[id="${id}"]`)))
      .join(' ')
      .trim();
  }

  /** The main form: the first that posts in main; or the one that a selector names. */
  form(selector?: string): HTMLElement {
    const form = selector
      ? this.root.querySelector(selector)
      : this.main.querySelectorAll('form').find((each) => each.getAttribute('method')?.toLowerCase() === 'post');
    if (!form) throw new Error(`no form ${selector ?? ''} on ${this.#name}`);
    return form;
  }

  /** What a browser would send after a press of the form's first button, or of the one with the given text. */
  fill(fields: Record<string, string>, choice: { form?: string; button?: string } = {}): FilledForm {
    const form = choice.button ? this.#formWithButton(choice.button) : this.form(choice.form);
    const buttons = submitButtons(form);
    const pressed = choice.button ? buttons.find((each) => labelOf(each) === choice.button) : buttons[0];
    const given = new Map<HTMLElement, string>();
    for (const [name, value] of Object.entries(fields)) {
      const field = this.field(name, form);
      if (!field) throw new Error(`no field '${name}' in the form on ${this.#name}`);
      given.set(field, value);
    }
    const values: [string, string][] = [];
    for (const field of form.querySelectorAll('input, select, textarea')) {
      const name = field.getAttribute('name');
      const value = given.get(field) ?? valueOf(field);
      if (name && value !== undefined && field.getAttribute('disabled') === undefined) values.push([name, value]);
    }
    const name = pressed?.getAttribute('name');
    if (name) values.push([name, pressed?.getAttribute('value') ?? '']);
    const action = pressed?.getAttribute('formaction') || form.getAttribute('action') || this.url.href;
    return {
      action: new URL(action, this.url),
      method: form.getAttribute('method')?.toLowerCase() === 'post' ? 'POST' : 'GET',
      values,
    };
  }

  #formWithButton(text: string): HTMLElement {
    const form = this.root
      .querySelectorAll('form')
      .find((each) => submitButtons(each).some((button) => labelOf(button) === text));
    if (!form) throw new Error(`no button '${text}' on ${this.#name}`);
    return form;
  }

  get #name(): string {
    return `${this.url.href} (${this.status}, '${this.title}')`;
  }
}

function submitButtons(form: HTMLElement): HTMLElement[] {
  return form
    .querySelectorAll('button, input')
    .filter((each) =>
      each.rawTagName.toLowerCase() === 'button'
        ? (each.getAttribute('type') ?? 'submit') === 'submit'
        : each.getAttribute('type') === 'submit',
    );
}

function labelOf(button: HTMLElement): string {
  return button.rawTagName.toLowerCase() === 'button' ? readable(button) : (button.getAttribute('value') ?? '');
}

/** Undefined: a browser leaves the field out. */
function valueOf(field: HTMLElement): string | undefined {
  const tag = field.rawTagName.toLowerCase();
  if (tag === 'textarea') return field.text;
  if (tag === 'select') {
    const chosen = field.querySelector('option[selected]') ?? field.querySelector('option');
    return chosen?.getAttribute('value') ?? chosen?.text;
  }
  const type = field.getAttribute('type') ?? 'text';
  if (type === 'submit' || type === 'button') return undefined;
  if (type === 'checkbox' || type === 'radio')
    return field.getAttribute('checked') === undefined ? undefined : (field.getAttribute('value') ?? 'on');
  return field.getAttribute('value') ?? '';
}

function readable(element: HTMLElement | null | undefined): string {
  return (element?.structuredText ?? '').replace(/\s+/g, ' ').trim();
}
