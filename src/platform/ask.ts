/**
 * Owns asking somebody else's server one thing: a request with a limit of time and size, whose answer is never followed
 * elsewhere, and what the TLS beneath it was like. What fails is a value in plain words: the caller tells it to people.
 */
import {
  request as plainRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface AskOptions {
  /** Certificate authorities (PEM) to trust instead of those that Node does. */
  ca?: string;
  /** How long the whole answer may take, in milliseconds. */
  patience?: number;
}

export interface Answered {
  status: number;
  headers: IncomingHttpHeaders;
  /** Its beginning, where it is longer than a page needs to be. */
  body: string;
  /** Under https. */
  certificateEnds?: Date;
}

export type Answer = Answered | { failed: string };

const PATIENCE = 5_000;
const LONGEST = 256 * 1024;

export interface Question {
  /** Posted as a form. */
  form?: Record<string, string>;
  headers?: Record<string, string>;
}

export function ask(url: string | URL, question: Question = {}, options: AskOptions = {}): Promise<Answer> {
  const { patience = PATIENCE, ca } = options;
  const target = new URL(url);
  const body = question.form && new URLSearchParams(question.form).toString();
  const headers = {
    accept: '*/*',
    ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    ...question.headers,
  };
  const signal = AbortSignal.timeout(patience);
  const sent: RequestOptions & { ca?: string } = {
    method: body === undefined ? 'GET' : 'POST',
    headers,
    signal,
    agent: false,
  };
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve({ failed: reasonOf(error, signal, patience) });
    const answered = (response: IncomingMessage): void => {
      const certificateEnds = endOf(response.socket as Partial<TLSSocket>);
      read(response).then((text) => {
        resolve({ status: response.statusCode!, headers: response.headers, body: text, certificateEnds });
      }, failed);
    };
    const asking =
      target.protocol === 'https:'
        ? tlsRequest(target, { ...sent, ca }, answered)
        : plainRequest(target, sent, answered);
    asking.on('error', failed);
    asking.end(body);
  });
}

async function read(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    length += part.length;
    if (length >= LONGEST) break;
  }
  return Buffer.concat(parts).toString('utf8');
}

function endOf(socket: Partial<TLSSocket>): Date | undefined {
  const end = socket.getPeerCertificate?.().valid_to;
  return end ? new Date(end) : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such host is known',
  EAI_AGAIN: 'the host could not be looked up',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it hung up',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the host',
  ETIMEDOUT: 'the host does not answer',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by nobody who is trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by nobody who is trusted',
  CERT_SIGNATURE_FAILURE: 'its certificate is signed by nobody who is trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate is signed by nobody who is trusted, or the one between is not sent along',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate is signed by nobody who is trusted, or the one between is not sent along',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  EPROTO: 'it does not speak TLS as it should',
};

function reasonOf(error: Error, signal: AbortSignal, patience: number): string {
  if (signal.aborted) return `no answer within ${patience / 1000} seconds`;
  const { code = '' } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? (code ? `it cannot be reached (${code})` : 'it cannot be reached');
}
