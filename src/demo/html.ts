/**
 * What the demo's own pages (e-services, mailbox) are made of: escaping, one page frame, one style sheet, one way to answer.
 *
 * The pages of Tunnus itself are no part of this: they live in views/. The demo stands for other people's programs, so it
 * shares nothing with the provider but the wire.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export class Html {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

type Piece = string | number | undefined | Html | readonly Html[];

/** Every value is escaped unless it is Html already. */
export function html(strings: TemplateStringsArray, ...pieces: Piece[]): Html {
  return new Html(strings.map((string, i) => string + (i < pieces.length ? sourceOf(pieces[i]) : '')).join(''));
}

function sourceOf(piece: Piece): string {
  if (piece instanceof Html) return piece.source;
  if (typeof piece === 'object') return piece.map((each) => each.source).join('');
  return String(piece ?? '').replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export interface Page {
  language: string;
  title: string;
  /** What stands in the bar at the top: the service's name, then whatever it wants. */
  header: Html;
  main: Html;
  /** Where this page's forms may end, besides the page's own site: a sign-out is redirected on to the provider. */
  formsLeadTo?: string;
  status?: number;
}

export function sendPage(response: ServerResponse, page: Page): void {
  const { source } = html`<!doctype html>
    <html lang="${page.language}">
      <head>
        <meta charset="utf-8" />
        <title>${page.title}</title>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <header>${page.header}</header>
        <main>${page.main}</main>
      </body>
    </html> `;
  const formAction = ["'self'", page.formsLeadTo ?? ''].join(' ').trim();
  response.writeHead(page.status ?? 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; form-action ${formAction}; frame-ancestors 'none'`,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(source);
}

export function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { Location: location, 'Cache-Control': 'no-store' }).end();
}

export function sendStyle(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'max-age=3600' }).end(style);
}

export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk as string;
    if (body.length > 100_000) throw new Error('The form is too long');
  }
  return new URLSearchParams(body);
}

const style = `
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --quiet: #f1f4f7; --line: #c3ccd5; --accent: #0b5a3c; --on-accent: #fff; --dim: #515b66; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f0f0; --paper: #16191c; --quiet: #20262b; --line: #46505a; --accent: #8fd6b5; --on-accent: #10221a; --dim: #b3bcc5; } }
* { box-sizing: border-box; }
body { margin: 0; font: 1.0625rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; justify-content: flex-end; padding: .75rem 1.25rem; background: var(--quiet); border-bottom: 4px solid var(--accent); }
header .name { font-weight: 700; margin-right: auto; color: var(--ink); text-decoration: none; }
header nav ul { display: flex; gap: .25rem; list-style: none; margin: 0; padding: 0; }
header nav a, header nav [aria-current] { display: inline-block; padding: .25rem .5rem; }
header form { margin: 0; }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2rem; }
a { color: var(--accent); text-underline-offset: .15em; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.button, button { display: inline-block; font: inherit; font-weight: 600; padding: .7rem 1.4rem; border: 2px solid var(--accent); border-radius: .25rem; background: var(--accent); color: var(--on-accent); text-decoration: none; cursor: pointer; }
header button { padding: .25rem .75rem; background: transparent; color: var(--accent); }
.note { padding: .75rem 1rem; border-left: 4px solid var(--accent); background: var(--quiet); }
.dim { color: var(--dim); }
ul.list { list-style: none; padding: 0; border-top: 1px solid var(--line); }
ul.list > li { padding: .7rem 0; overflow-wrap: anywhere; border-bottom: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.letter { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; background: var(--quiet); border-radius: .25rem; }
iframe { width: 100%; height: 46rem; border: 1px solid var(--line); background: #fff; }
`;
