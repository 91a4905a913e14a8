/**
 * Traces by OpenTelemetry, an option: its packages are optional dependencies and are loaded only where `telemetry.otlp` is set.
 * Off, a span costs one comparison. What a span tells is chosen by those who open it: never a value of a statement, a path, an
 * address or a secret. A request's own `traceparent` is not read: anybody could write it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type * as api from '@opentelemetry/api';
import type { Context, Span, Tracer } from '@opentelemetry/api';
import { VERSION } from './version.ts';

export type SpanName = 'request' | 'sql' | 'hash' | 'mail';
type Attributes = Record<string, string | number>;

export interface Tracing {
  /** Sends what is left. */
  stop(): Promise<void>;
}

type Api = typeof api;

let on: { api: Api; tracer: Tracer } | undefined;
const contexts = new AsyncLocalStorage<Context>();

/** The setting is on and the packages are not there. */
export class TracingMissing extends Error {
  constructor(cause: unknown) {
    const packages = '@opentelemetry/api, resources, sdk-trace and exporter-trace-otlp-http';
    super(`telemetry.otlp is set, but its packages are not installed: install without --omit=optional (${packages})`, {
      cause,
    });
    this.name = 'TracingMissing';
  }
}

/** `url`: of a collector's OTLP/HTTP, without the path `/v1/traces`. `load` gives the packages. */
export async function startTracing(url: string, load = packages): Promise<Tracing> {
  const [api, sdk, exporting, { resourceFromAttributes }] = await load().catch((error: unknown) => {
    throw new TracingMissing(error);
  });
  const exporter = new exporting.OTLPTraceExporter({ url: `${url.replace(/\/+$/, '')}/v1/traces` });
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'tunnus', 'service.version': VERSION }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter })],
  });
  on = { api, tracer: provider.getTracer('tunnus', VERSION) };
  return {
    async stop() {
      on = undefined;
      // A collector that is away must not hold up the end.
      await provider.shutdown().catch(() => {});
    },
  };
}

const packages = () =>
  Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);

/** Does the work within a span; what it throws is noted by its kind alone, since messages may quote what was asked. */
export function traced<T>(
  name: SpanName,
  attributes: Attributes,
  work: (tell: (more: Attributes) => void) => Promise<T>,
): Promise<T> {
  return on ? inSpan(on, { name, attributes }, work) : work(silent);
}

const silent = (): void => {};

async function inSpan<T>(
  { api, tracer }: { api: Api; tracer: Tracer },
  { name, attributes }: { name: SpanName; attributes: Attributes },
  work: (tell: (more: Attributes) => void) => Promise<T>,
): Promise<T> {
  const outer = contexts.getStore() ?? api.ROOT_CONTEXT;
  const span: Span = tracer.startSpan(name, { attributes }, outer);
  try {
    return await contexts.run(api.trace.setSpan(outer, span), () => work((more) => void span.setAttributes(more)));
  } catch (error) {
    span.setStatus({ code: api.SpanStatusCode.ERROR });
    span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
    throw error;
  } finally {
    span.end();
  }
}
