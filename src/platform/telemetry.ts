/**
 * The log and the metrics. The log never holds what lets anybody in: fields are cleaned by their names and texts by their
 * shape, at any depth, before they reach the writer. Which events are worth a line is for those who log.
 */
import { isDate, isMap, isNativeError } from 'node:util/types';
import pino from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

/** Bytes of lines that wait for a disk that is full, or for a slow reader; what comes on top is left out. */
const MOST_WAITING = 1_000_000;

export function makeLog(options: { level?: string; destination?: NodeJS.WritableStream } = {}): Log {
  const settings: pino.LoggerOptions = {
    level: options.level ?? 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  if (options.destination) return wrap(pino(settings, options.destination), () => {});
  // Lines go out together, within the twentieth of a second: a system call for each is a good part of a request's work.
  const output = pino.destination({
    // Asking for the stream has Node open it, and so a pipe that is full answers at once instead of holding up every request.
    fd: process.stdout.fd,
    sync: true,
    minLength: 8_192,
    maxLength: MOST_WAITING,
    periodicFlush: 50,
    // By itself it would sleep and try again until the reader comes.
    retryEAGAIN: () => false,
  });
  // A full disk or a reader that has gone must not end the service; `flushSync` would even try it for ever.
  output.on('error', () => {});
  output.on('drop', () => metrics.logLeftOut.inc());
  const flush = () => output.flush();
  process.on('exit', flush);
  return wrap(pino(settings, output), flush);
}

function wrap(target: pino.Logger, flush: () => void): Log {
  const writer = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) => {
    if (!target.isLevelEnabled(level)) return;
    target[level](cleanFields(fields), cleanText(message));
    // What went wrong just before a crash is what one wants to read.
    if (level !== 'debug' && level !== 'info') flush();
  };
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: (fields) => wrap(target.child(cleanFields(fields)), flush),
  };
}

const REDACTED = '[redacted]';
const MAX_DEPTH = 8;

/** Names as they are after lower-casing and dropping `-` and `_`. */
const SECRET_ENDING =
  /(password|passwd|passwordhash|secrets?|tokens?|cookies?|authorization|assertion|privatekey|privatejwk|verifier|tokenhint|links?)$/;
const SECRET_NAME = /^(jwk|(user|device|authorization|onetime|recovery)?codes?)$/;

/** Pages behind mailed links: what follows their name in a path is the link's token. */
export const LINK_PAGES = 'set-password|password-set|confirm-email|undo-email|new-account|account-made|keep-factors';

/** What opens doors by its shape: credentials in a URL, its query, one-time paths, bearer credentials, JWTs. */
const SECRET_SHAPES: readonly [RegExp, string][] = [
  [/\/\/[^/\s@]+@/g, `//${REDACTED}@`],
  [new RegExp(`(/(?:${LINK_PAGES}|sign-in|auth)/+)[^/?#\\s"']+`, 'gi'), `$1${REDACTED}`],
  [/[?#](?=[\w.~%-]+=)[^\s"']*/g, `?${REDACTED}`],
  [/\b(Bearer|Basic|DPoP)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, REDACTED],
];

function cleanText(text: string): string {
  return SECRET_SHAPES.reduce((cleaned, [shape, instead]) => cleaned.replace(shape, instead), text);
}

function cleanFields(fields: object): Record<string, unknown> {
  return (isNativeError(fields) ? { err: cleanError(fields, 0) } : clean(fields, 0)) as Record<string, unknown>;
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[too deep]';
  if (isNativeError(value)) return cleanError(value, depth);
  if (isDate(value)) return value;
  if (value instanceof URL) return cleanText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1));
  const entries = isMap(value) ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries.map(([name, item]) => [name, isSecret(String(name)) ? REDACTED : clean(item, depth + 1)]),
  );
}

function isSecret(name: string): boolean {
  const plain = name.toLowerCase().replace(/[-_]/g, '');
  return SECRET_ENDING.test(plain) || SECRET_NAME.test(plain);
}

/** A fixed choice: the fields that drivers hang on their errors (PostgreSQL's `detail`) quote rows. */
function cleanError(error: Error, depth: number): Record<string, unknown> {
  const { code, constraint, cause } = error as Error & { code?: unknown; constraint?: unknown };
  return {
    type: error.name,
    message: cleanText(error.message),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(typeof constraint === 'string' && { constraint }),
    ...(error.stack && { stack: cleanText(error.stack) }),
    ...(cause !== undefined && { cause: clean(cause, depth + 1) }),
  };
}

const registry = new Registry();
collectDefaultMetrics({ register: registry });
const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });

export const metrics = {
  registry,
  logLeftOut: new Counter({
    name: 'tunnus_log_lines_left_out_total',
    help: 'Lines of the log that were left out, since nobody took the lines before',
    registers: [registry],
  }),
  /** `route` is the pattern, never the path as asked: a path may hold a link. */
  requests: new Histogram({
    name: 'tunnus_http_request_seconds',
    help: 'Time to answer a request',
    labelNames: ['route', 'method', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  }),
  /** `client` is one of those that are registered, or `none`. */
  signIns: new Counter({
    name: 'tunnus_sign_ins_total',
    help: 'What came of each step of a sign-in, by e-service',
    labelNames: ['step', 'outcome', 'client'] as const,
    registers: [registry],
  }),
  grants: new Counter({
    name: 'tunnus_grants_total',
    help: 'What the token endpoint answered, by grant type and e-service: given, or the OAuth error',
    labelNames: ['grant_type', 'outcome', 'client'] as const,
    registers: [registry],
  }),
  hashes: new Gauge({
    name: 'tunnus_password_hashes',
    help: 'Password hashes that run and that wait now, and how many may run at once (limit)',
    labelNames: ['state'] as const,
    registers: [registry],
  }),
  hashesRefused: new Counter({
    name: 'tunnus_password_hashes_refused_total',
    help: 'Password hashes that were refused since too many waited',
    registers: [registry],
  }),
  mails: new Counter({
    name: 'tunnus_mails_total',
    help: 'Mails by kind and by what became of them',
    labelNames: ['mail', 'outcome'] as const,
    registers: [registry],
  }),
  residents: new Gauge({
    name: 'tunnus_residents',
    help: 'Residents of the old lists by how far they have come; each once',
    labelNames: ['step'] as const,
    registers: [registry],
  }),
  residentsBySource: new Gauge({
    name: 'tunnus_residents_by_source',
    help: 'Residents of each old list by how far they have come',
    labelNames: ['source', 'step'] as const,
    registers: [registry],
  }),
  connections: new Gauge({
    name: 'tunnus_database_connections',
    help: 'Connections of this process to the database: busy, idle, and how many statements wait for one',
    labelNames: ['state'] as const,
    registers: [registry],
  }),
  databaseUp: gauge('tunnus_database_up', '1 where the database answered when this was scraped, else 0'),
  mailsWaiting: new Gauge({
    name: 'tunnus_mails_waiting',
    help: 'Mails that wait: queued (not tried yet) and delayed (tried in vain)',
    labelNames: ['state'] as const,
    registers: [registry],
  }),
  mailAge: gauge('tunnus_mail_oldest_seconds', 'For how long the oldest mail waits; 0 where none does'),
  mailsFailed: new Gauge({
    name: 'tunnus_mails_failed',
    help: 'Mails of the last day that came to a bad end',
    labelNames: ['outcome'] as const,
    registers: [registry],
  }),
  keyRetires: new Gauge({
    name: 'tunnus_signing_key_retires_timestamp_seconds',
    help: 'When the key that signs now is to be followed by the next, by algorithm',
    labelNames: ['alg'] as const,
    registers: [registry],
  }),
  keysNext: new Gauge({
    name: 'tunnus_signing_keys_next',
    help: 'Keys that are published and do not sign yet, by algorithm',
    labelNames: ['alg'] as const,
    registers: [registry],
  }),
  certificateEnds: new Gauge({
    name: 'tunnus_certificate_expires_timestamp_seconds',
    help: "When the certificate ends that this node was shown at the issuer's address; absent where it could not get there",
    registers: [registry],
    // Without a label it would stand at 0 until it is known.
    labelNames: ['host'] as const,
  }),
  leftOver: new Gauge({
    name: 'tunnus_left_over_seconds',
    help: 'For how long the oldest row of a table is overdue to be swept',
    labelNames: ['table'] as const,
    registers: [registry],
  }),
  nodes: new Gauge({
    name: 'tunnus_nodes',
    help: 'Nodes that were seen within the last minute, by version and by the hash of their configuration',
    labelNames: ['version', 'configuration'] as const,
    registers: [registry],
  }),
  build: new Gauge({
    name: 'tunnus_build_info',
    help: 'Always 1',
    labelNames: ['version', 'node_version'] as const,
    registers: [registry],
  }),
  logouts: new Counter({
    name: 'tunnus_logouts_total',
    help: 'Attempts to tell an e-service of a sign-out by what became of them',
    labelNames: ['client', 'outcome'] as const,
    registers: [registry],
  }),
};
