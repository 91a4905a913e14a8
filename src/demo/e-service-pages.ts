/**
 * The pages of the demo e-services. Which page is shown and what the resident has done is e-service.ts's matter.
 */
import type { ServerResponse } from 'node:http';
import { languageNames, languages, texts } from './e-service-texts.ts';
import type { Language, ServiceName } from './e-service-texts.ts';
import type { Deed } from './history.ts';
import { html, sendPage } from './html.ts';
import type { Html } from './html.ts';
import type { Resident } from './relying-party.ts';

export interface Frame {
  service: ServiceName;
  language: Language;
  /** The provider's site: a sign-out form is redirected there. */
  issuer: string;
  others: readonly OtherService[];
}

export interface OtherService {
  name: ServiceName;
  url: string;
}

export interface SignedIn {
  resident: Resident;
  accountUrl: string;
  deeds: Deed[];
}

export function sendFront(response: ServerResponse, frame: Frame): void {
  const t = texts[frame.language];
  send(response, frame, {
    title: t.names[frame.service],
    main: html`<h1>${t.names[frame.service]}</h1>
      <p>${t.leads[frame.service]}</p>
      ${signInButton(frame)} ${otherServices(frame)}`,
  });
}

export function sendOwnPage(response: ServerResponse, frame: Frame, { resident, accountUrl, deeds }: SignedIn): void {
  const t = texts[frame.language];
  const account = html`<span>${t.signedInAs} <a href="${accountUrl}">${resident.username}</a></span>
    <form method="post" action="/logout"><button type="submit">${t.signOut}</button></form>`;
  send(response, frame, {
    title: t.names[frame.service],
    account,
    main: html`<h1>${t.welcome}, ${resident.name}</h1>
      ${resident.singleSignOn ? html`<p class="note">${t.singleSignOn}</p>` : undefined}
      ${resident.twoSteps ? html`<p class="note">${t.twoSteps}</p>` : undefined}
      <h2 id="history">${t.history}</h2>
      ${deeds.length > 0 ? history(frame.language, deeds) : html`<p>${t.noHistory}</p>`}
      ${deeds.length > 0 ? html`<p class="dim">${t.historyBy} ${oldId(resident)}</p>` : undefined}
      ${otherServices(frame)}`,
  });
}

/** By which id this e-service knows the resident's past. */
export function oldId(resident: Resident): string {
  return resident.legacyId ?? resident.sub;
}

export type Notice = 'signedOut' | 'interrupted' | 'unavailable' | 'notFound';

const statuses: Readonly<Record<Notice, number>> = {
  signedOut: 200,
  interrupted: 400,
  unavailable: 503,
  notFound: 404,
};

export function sendNotice(response: ServerResponse, frame: Frame, notice: Notice): void {
  const t = texts[frame.language];
  const leads = {
    signedOut: t.signedOutLead,
    interrupted: t.interruptedLead,
    unavailable: t.unavailableLead,
    notFound: '',
  };
  send(response, frame, {
    title: t[notice],
    status: statuses[notice],
    main: html`<h1>${t[notice]}</h1>
      <p>${leads[notice]}</p>
      ${notice === 'notFound' ? html`<p><a href="/">${t.toFront}</a></p>` : signInButton(frame)} ${otherServices(frame)}`,
  });
}

function send(
  response: ServerResponse,
  frame: Frame,
  page: { title: string; main: Html; account?: Html; status?: number },
): void {
  const { language, service, issuer } = frame;
  const name = texts[language].names[service];
  sendPage(response, {
    language,
    title: page.title === name ? name : `${page.title} - ${name}`,
    header: html`<a class="name" href="/">${name}</a>${page.account}${languageSwitch(language)}`,
    main: page.main,
    formsLeadTo: issuer,
    status: page.status,
  });
}

function languageSwitch(current: Language): Html {
  const items = languages.map((each) =>
    each === current
      ? html`<li><span aria-current="true" lang="${each}">${languageNames[each]}</span></li>`
      : html`<li><a href="/?lang=${each}" lang="${each}" hreflang="${each}">${languageNames[each]}</a></li>`,
  );
  return html`<nav aria-label="${texts[current].languages}">
    <ul>
      ${items}
    </ul>
  </nav>`;
}

function signInButton({ language }: Frame): Html {
  return html`<p><a class="button" href="/login">${texts[language].signIn}</a></p>`;
}

function otherServices({ language, others }: Frame): Html[] {
  const t = texts[language];
  return others.map(
    ({ name, url }) => html`<p>${t.otherService} <a href="${url}/?lang=${language}">${t.names[name]}</a></p>`,
  );
}

function history(language: Language, deeds: Deed[]): Html {
  const items = deeds.map(
    (deed) => html`<li>${deed.title[language]} ${deed.year} <span class="dim">${deed.reference}</span></li>`,
  );
  return html`<ul class="list" aria-labelledby="history">
    ${items}
  </ul>`;
}
