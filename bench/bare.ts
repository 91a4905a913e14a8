/**
 * The yardstick: oidc-provider with nothing of ours around it, the same steps on the smallest pages, no password asked.
 * `node bench/bare.ts PORT` keeps all in memory; with a database's URL behind it the store is a straightforward adapter, one
 * table and an upsert each, as many a tutorial has it.
 */
import { generateKeyPairSync } from 'node:crypto';
import pg from 'pg';
import Provider, { type Adapter, type AdapterConstructor } from 'oidc-provider';

const [port, url] = process.argv.slice(2);
const issuer = `http://localhost:${port}`;
const API = 'urn:bench:api';

/** The same table for every model; clients stand in the configuration. */
function naiveAdapter(pool: pg.Pool): AdapterConstructor {
  return class implements Adapter {
    readonly #model: string;

    constructor(model: string) {
      this.#model = model;
    }

    async #one(column: string, value: string) {
      const found = await pool.query<{ payload: object; consumed_at: Date | null }>(
        `select payload, consumed_at from naive where model = $1 and ${column} = $2`,
        [this.#model, value],
      );
      const [row] = found.rows;
      return row && { ...row.payload, ...(row.consumed_at ? { consumed: true } : {}) };
    }

    async upsert(id: string, payload: Record<string, unknown>, expiresIn?: number) {
      await pool.query(
        `insert into naive (model, id, payload, grant_id, uid, expires_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (model, id) do update set payload = $3, grant_id = $4, uid = $5, expires_at = $6`,
        [
          this.#model,
          id,
          payload,
          payload['grantId'],
          payload['uid'],
          expiresIn ? new Date(Date.now() + expiresIn * 1000) : null,
        ],
      );
    }

    find(id: string) {
      return this.#one('id', id);
    }

    findByUid(uid: string) {
      return this.#one('uid', uid);
    }

    findByUserCode(): Promise<undefined> {
      return Promise.resolve(undefined);
    }

    async consume(id: string) {
      await pool.query('update naive set consumed_at = now() where model = $1 and id = $2', [this.#model, id]);
    }

    async destroy(id: string) {
      await pool.query('delete from naive where model = $1 and id = $2', [this.#model, id]);
    }

    async revokeByGrantId(grantId: string) {
      await pool.query('delete from naive where grant_id = $1', [grantId]);
    }
  };
}

async function naiveStore(): Promise<AdapterConstructor> {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  await pool.query(`
    create table if not exists naive (
      model text not null, id text not null, payload jsonb not null, grant_id text, uid text, consumed_at timestamptz,
      expires_at timestamptz, primary key (model, id));
    create index if not exists naive_grant on naive (grant_id);
    create index if not exists naive_uid on naive (uid);
    create index if not exists naive_expiry on naive (expires_at)`);
  return naiveAdapter(pool);
}

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const provider = new Provider(issuer, {
  adapter: url ? await naiveStore() : undefined,
  jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: 'bench' }] },
  clients: [
    {
      client_id: 'bench',
      client_secret: 'a secret of the bench, thirty-two characters',
      redirect_uris: ['http://localhost:1/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: 'openid email profile',
    },
    {
      client_id: 'machine',
      client_secret: 'a secret of the bench, thirty-two characters',
      redirect_uris: [],
      grant_types: ['client_credentials'],
      response_types: [],
    },
  ],
  cookies: { keys: ['a key of the bench'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, preferred_username: id }) }),
  interactions: { url: (_ctx, { uid }) => `/sign-in/${uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: false,
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({ clientId: oidc.client!.clientId, accountId: oidc.account!.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => (ctx.oidc.client?.clientId === 'machine' ? API : []),
      getResourceServerInfo: () => ({ scope: '', accessTokenFormat: 'jwt', audience: API }),
    },
  },
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 60,
    ClientCredentials: 600,
    Grant: 86_400,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 86_400,
    Session: 86_400,
  },
});

const page = (fields: string): string =>
  `<!doctype html><title>Sign in</title><form method="post"><input name="csrf" type="hidden" value="x">${fields}<button>Go on</button></form>`;

provider.use(async (ctx, next) => {
  const [, uid, step] = /^\/sign-in\/([\w-]+)(\/password)?$/.exec(ctx.path) ?? [];
  if (uid === undefined) {
    await next();
    return;
  }
  if (ctx.method === 'GET') {
    await provider.interactionDetails(ctx.req, ctx.res);
    ctx.type = 'html';
    ctx.body = page(step ? '<input name="password" type="password">' : '<input name="email" type="email">');
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of ctx.req) chunks.push(chunk as Buffer);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  if (!step) {
    ctx.redirect(`/sign-in/${uid}/password`);
    ctx.status = 303;
    return;
  }
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: form.get('username')! } });
});
provider.listen(Number(port));
