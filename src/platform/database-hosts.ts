/**
 * Several servers in one URL, `postgres://user:password@a:5432,b:5432/name`, as libpq writes them: which of them takes writing
 * is found out here, at each new connection. It knows no table and no pool.
 */
import pg from 'pg';

const PARTS = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^@/?#]*)(.*)$/is;
const WRITABLE = ['read-write', 'primary'];

/** One URL for each host, in their order. None where it is no such URL, or its `target_session_attrs` wants a server to read from. */
export function hostsOf(url: string): string[] {
  const [, before = '', hosts = '', after = ''] = PARTS.exec(url) ?? [];
  const urls = before ? hosts.split(',').map((host) => before + host + after) : [];
  const usable = (each: string): boolean => {
    const wanted = URL.canParse(each) && new URL(each).searchParams.get('target_session_attrs');
    return wanted === null || (wanted !== false && WRITABLE.includes(wanted));
  };
  return urls.every(usable) ? urls : [];
}

export interface Hosts {
  /** Leads to the host whose turn it is, whatever `connectionString` says; one that fails or takes no writing hands the turn on. */
  Client: typeof pg.Client;
  /** The same, and where there is no choice either, one that takes no writing is no connection: for a pool that only writes. */
  WritingClient: typeof pg.Client;
  /** Lets each host have its turn before it gives up. */
  inTurn<T>(connect: () => Promise<T>): Promise<T>;
  /** A connection outside any pool, once `begin` is through; whoever has it ends it. */
  apart(config: pg.ClientConfig, begun: Begun): Promise<pg.Client>;
}

interface Begun {
  begin?: (client: pg.Client) => Promise<void>;
  /** Told of what breaks while no statement waits for it. */
  onError: (error: Error) => void;
}

export function hostsBehind(url: string): Hosts {
  const urls = hostsOf(url);
  let turn = 0;

  class InTurn extends pg.Client {
    readonly #turn = turn;

    constructor(config: pg.ClientConfig) {
      super({ ...config, connectionString: urls[turn] });
      // A pool listens only once there is a connection. What breaks before fails the statement; unheard, it would end the process.
      this.on('error', () => {});
    }

    override connect(): Promise<this>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<this> | void {
      const connected = this.#connect();
      if (!callback) return connected;
      connected.then(() => callback(undefined as unknown as Error), callback);
    }

    async #connect(): Promise<this> {
      try {
        await super.connect();
        const { rows } = await this.query<{ transaction_read_only: string }>('show transaction_read_only');
        if (rows[0]?.transaction_read_only === 'on') throw readOnly();
        return this;
      } catch (error) {
        // many fail at once when a server goes: only the first of them hands the turn on
        if (turn === this.#turn) turn = (turn + 1) % urls.length;
        await this.end().catch(() => {});
        throw error;
      }
    }
  }

  async function inTurn<T>(connect: () => Promise<T>): Promise<T> {
    for (let left = urls.length - 1; ; left -= 1) {
      try {
        return await connect();
      } catch (error) {
        if (left <= 0) throw error;
      }
    }
  }

  // where there is no choice, one that takes no writing still serves who reads
  const Client = urls.length > 1 ? InTurn : pg.Client;

  const apart = (config: pg.ClientConfig, { begin, onError }: Begun): Promise<pg.Client> =>
    inTurn(async () => {
      const client = new Client(config);
      client.on('error', onError);
      try {
        await client.connect();
        await begin?.(client);
        return client;
      } catch (error) {
        await client.end().catch(() => {});
        throw error;
      }
    });

  return { Client, WritingClient: InTurn, inTurn, apart };
}

/** As a server says it to who writes. */
function readOnly(): pg.DatabaseError {
  const error = new pg.DatabaseError('it takes no writing', 0, 'error');
  error.code = '25006';
  return error;
}
