/**
 * The plans of the OpenID Foundation's conformance suite that are run against Tunnus: which variant of each, the
 * configuration that the suite wants for it, and what its scripted browser does on our pages.
 *
 * The browser's steps rest on what pages promise: the first form that posts in `main` leads on by its first button, and
 * fields carry the standard autocomplete tokens. test/browser/conformance-plans.long.test.ts walks every step on live pages.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Place {
  /** Without a slash at its end. */
  issuer: string;
  /** Where the suite listens, without a slash at its end. */
  suite: string;
}

/** `docker compose` on one machine, with docker-compose.suite.yml. */
export const ONE_MACHINE: Place = {
  issuer: 'https://host.docker.internal:3443',
  suite: 'https://localhost.emobix.co.uk:8443',
};

/** Stands in config/residents.csv. */
export const RESIDENT = { email: 'suite@conformance.example', password: 'made for the conformance suite' };

export type Command = readonly [string, string, string, ...(string | number)[]];

export interface Task {
  task: string;
  /** A URL with `*` for any characters. */
  match: string;
  /** Left out where the page's URL does not match. */
  optional?: true;
  commands?: Command[];
}

/** What the browser does after it was sent to a URL that matches. */
export interface Visit {
  comment?: string;
  match: string;
  /** How often; later requests go by the next visit that matches. */
  'match-limit'?: number;
  tasks: Task[];
}

export interface Configuration {
  alias: string;
  description: string;
  server: { discoveryUrl: string };
  client: object;
  client2: object;
  client_secret_post?: object;
  resource?: { resourceUrl: string };
  browser: Visit[];
  override: Record<string, { browser: Visit[]; client?: object; client2?: object }>;
}

export interface Plan {
  /** As scripts/run-test-plan.py of the suite wants it: the plan with the variants that it leaves open. */
  expression: string;
  configuration: (place: Place) => Configuration;
}

const SECONDS = 10;
const ADDRESS = 'main input[autocomplete~="username"]';
const PASSWORD = 'main input[autocomplete~="current-password"]';
const GO_ON = "((//main//form[@method='post'])[1]//button[@type='submit'])[1]";
const REFUSE = 'main button[value="no"]';
const SIGN_IN_PAGE = 'Sign in|Kirjaudu sisään|Logga in';
const ERROR_PAGE = 'Reference number|Viitenumero|Referensnummer';
const SIGN_OUT_QUESTION = 'Do you want to sign out|Haluatko kirjautua ulos|Vill du logga ut';
const SIGNED_OUT_PAGE = 'You are signed out|Olet kirjautunut ulos|Du är utloggad';

const goOn: Command = ['click', 'xpath', GO_ON];
/** A picture of the page for whoever reviews the run, once its words are there. */
const picture = (words: string, optional = false): Command => [
  'wait',
  'xpath',
  '//body',
  SECONDS,
  words,
  optional ? 'update-image-placeholder-optional' : 'update-image-placeholder',
];

/** All visits of one plan, on these addresses. */
function visits({ issuer, suite }: Place, alias: string) {
  const home = `${suite}/test/a/${alias}`;
  const arrived: Task = {
    task: 'Verify Complete',
    match: `${home}/callback*`,
    commands: [['wait', 'id', 'submission_complete', SECONDS]],
  };
  const agreed: Task = {
    task: 'Consent',
    match: `${issuer}/sign-in/*/consent*`,
    optional: true,
    commands: [goOn],
  };
  const steps = ({ pictured = false, consent = agreed } = {}): Task[] => [
    // Whoever is signed in already comes to the question at once; the next step would take its page for its own.
    consent,
    {
      task: 'Address',
      match: `${issuer}/sign-in/*`,
      optional: true,
      commands: [...(pictured ? [picture(SIGN_IN_PAGE, true)] : []), ['text', 'css', ADDRESS, RESIDENT.email], goOn],
    },
    {
      task: 'Password',
      match: `${issuer}/sign-in/*/password*`,
      optional: true,
      commands: [['text', 'css', PASSWORD, RESIDENT.password], goOn],
    },
    consent,
  ];
  const signIn = (pictured = false): Visit => ({
    match: `${issuer}/auth*`,
    tasks: [...steps({ pictured }), arrived],
  });
  const refuse: Visit = {
    match: `${issuer}/auth*`,
    tasks: [...steps({ consent: { ...agreed, commands: [['click', 'css', REFUSE]] } }), arrived],
  };
  /** A request that may not be good any more: back with whatever answer, or an error page. */
  const signInOrError: Visit = {
    match: `${issuer}/auth*`,
    tasks: [
      ...steps(),
      { ...arrived, optional: true },
      { task: 'Error page', match: `${issuer}/auth*`, optional: true, commands: [picture(ERROR_PAGE, true)] },
    ],
  };
  const lookOnly: Visit = {
    comment: 'the first time only looks at the page',
    match: `${issuer}/auth*`,
    'match-limit': 1,
    tasks: [{ task: 'Look', match: `${issuer}/sign-in/*`, commands: [picture(SIGN_IN_PAGE, true)] }],
  };
  const asked: Task = { task: 'Sign out', match: `${issuer}/session/end*`, optional: true, commands: [goOn] };
  const question: Visit = {
    comment: 'without a hint the resident is asked; nothing leads back by itself',
    match: `${issuer}/session/end*`,
    tasks: [{ task: 'Expect the question', match: `${issuer}/session/end*`, commands: [picture(SIGN_OUT_QUESTION)] }],
  };
  const errorAt = (path: string): Visit => ({
    comment: 'an error page at once, and no way back to an address that is not registered',
    match: `${issuer}${path}*`,
    tasks: [{ task: 'Expect an error page', match: `${issuer}${path}*`, commands: [picture(ERROR_PAGE)] }],
  });
  return {
    signIn,
    refuse,
    signInOrError,
    lookOnly,
    signOut: {
      match: `${issuer}/session/end*`,
      tasks: [asked, { task: 'Verify Complete', match: `${home}/post_logout_redirect*` }],
    } satisfies Visit,
    signOutHere: {
      match: `${issuer}/session/end*`,
      tasks: [
        asked,
        { task: 'Expect the page after it', match: `${issuer}/signed-out*`, commands: [picture(SIGNED_OUT_PAGE)] },
      ],
    } satisfies Visit,
    question,
    errorAt,
  };
}

const secretOf = (client: string): object => ({
  client_id: client,
  client_secret: `made-for-tests-and-no-secret-${client}`,
});

function withSecrets(name: string, alias: string, client: string) {
  return (place: Place): Configuration => {
    const { signIn, signOut, signOutHere, question, errorAt } = visits(place, alias);
    const pictured = { browser: [signIn(true)] };
    const refused = { browser: [signIn(), errorAt('/session/end')] };
    const stays = { browser: [signIn(), signOutHere] };
    return {
      alias,
      description: `Tunnus: ${name}`,
      server: { discoveryUrl: `${place.issuer}/.well-known/openid-configuration` },
      client: secretOf(client),
      client2: secretOf('conformance-2'),
      client_secret_post: secretOf('conformance-post'),
      browser: [signIn(), signOut],
      override: {
        'oidcc-prompt-login': pictured,
        'oidcc-max-age-1': pictured,
        'oidcc-ensure-registered-redirect-uri': { browser: [errorAt('/auth')] },
        'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri': refused,
        'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri': refused,
        'oidcc-rp-initiated-logout-modified-id-token-hint': refused,
        'oidcc-rp-initiated-logout-bad-id-token-hint': refused,
        'oidcc-rp-initiated-logout-no-id-token-hint': { browser: [signIn(), question] },
        'oidcc-rp-initiated-logout-no-params': stays,
        'oidcc-rp-initiated-logout-no-post-logout-redirect-uri': stays,
        'oidcc-rp-initiated-logout-only-state': stays,
      },
    };
  };
}

/** `one` or `two`: with the private key that is made for it. */
function keyed(name: 'one' | 'two', id = `conformance-fapi-${name}`): object {
  const key = JSON.parse(readFileSync(join(import.meta.dirname, `keys/${name}.json`), 'utf8')) as object;
  return { client_id: id, scope: 'openid email', jwks: { keys: [key] } };
}

function fapi(place: Place): Configuration {
  const { signInOrError, lookOnly, refuse } = visits(place, 'tunnus-fapi');
  return {
    alias: 'tunnus-fapi',
    description: 'Tunnus: FAPI 2.0 Security Profile',
    server: { discoveryUrl: `${place.issuer}/.well-known/openid-configuration` },
    client: keyed('one'),
    client2: keyed('two'),
    resource: { resourceUrl: `${place.issuer}/me` },
    browser: [signInOrError],
    override: {
      'fapi2-security-profile-final-user-rejects-authentication': {
        client: keyed('one', 'conformance-fapi-one-asks'),
        client2: keyed('two', 'conformance-fapi-two-asks'),
        browser: [refuse],
      },
      'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds': {
        browser: [lookOnly, signInOrError],
      },
    },
  };
}

const STATIC = '[server_metadata=discovery][client_registration=static_client]';

/** By the name of the file that holds the configuration. */
export const PLANS: Readonly<Record<string, Plan>> = {
  basic: {
    expression: `oidcc-basic-certification-test-plan${STATIC}`,
    configuration: withSecrets('Basic OP', 'tunnus', 'conformance'),
  },
  config: {
    expression: 'oidcc-config-certification-test-plan',
    configuration: withSecrets('Config OP', 'tunnus', 'conformance'),
  },
  'rp-initiated-logout': {
    expression:
      'oidcc-rp-initiated-logout-certification-test-plan[response_type=code][client_registration=static_client]',
    configuration: withSecrets('RP-Initiated Logout OP', 'tunnus', 'conformance'),
  },
  'backchannel-logout': {
    expression:
      'oidcc-backchannel-rp-initiated-logout-certification-test-plan[response_type=code][client_registration=static_client]',
    configuration: withSecrets('Back-Channel Logout OP', 'tunnus', 'conformance-backchannel'),
  },
  'fapi2-security-profile': {
    expression:
      'fapi2-security-profile-final-test-plan[client_auth_type=private_key_jwt][sender_constrain=dpop][fapi_profile=plain_fapi][openid=openid_connect][authorization_request_type=simple][grant_management=disabled]',
    configuration: fapi,
  },
};
