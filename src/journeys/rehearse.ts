/**
 * Owns the rehearsal before the day of the switch: by which `sub` and old id each e-service would know each resident, by the
 * rule that signs them in (records/subjects.ts). Writes nothing.
 */
import { beginSnapshot, type Database, type Session } from '../platform/database.ts';
import { namedResidents, namingCounts, type NamedResident, type Naming, type Relation } from '../records/subjects.ts';

export interface EService {
  clientId: string;
  relation: Relation;
  /** It may ask for the claim `legacy_id`. */
  legacyClaim: boolean;
}

export interface Rehearsal {
  client: string;
  subject_type: Relation['subjectType'];
  source: string | null;
  residents: number;
  /** By where their `sub` comes from. */
  sub: Record<Naming, number>;
  /** How many would come with the claim. */
  legacy_id: number;
  /** How many are on the list with a tie in doubt, and so without the claim. */
  in_doubt: number;
}

export interface RehearsedResident {
  client: string;
  email: string;
  naming: Naming;
  sub: string | null;
  legacy_id: string | null;
  doubt: string | null;
}

const PAGE = 2_000;
const NAMINGS: Naming[] = ['given', 'old_id', 'new', 'public', 'in_doubt', 'taken'];

/** All in one snapshot. `onResidents` gets them page by page, e-service by e-service, and is waited for. */
export function rehearse(
  database: Database,
  eServices: readonly EService[],
  onResidents?: (page: RehearsedResident[]) => Promise<void>,
): Promise<Rehearsal[]> {
  return database.session(async (session) => {
    // A page is planned as the page that it is: for any number of rows the planner would read all accounts each time.
    await session.script('set plan_cache_mode = force_custom_plan');
    await beginSnapshot(session);
    const rehearsals: Rehearsal[] = [];
    for (const eService of eServices) {
      if (onResidents) await eachPage(session, eService, onResidents);
      rehearsals.push(await counted(session, eService));
    }
    return rehearsals;
  });
}

async function eachPage(
  session: Session,
  eService: EService,
  onResidents: (page: RehearsedResident[]) => Promise<void>,
): Promise<void> {
  for (let after: string | undefined, page: NamedResident[]; ; after = page.at(-1)!.id) {
    page = await namedResidents(session, eService.relation, { after, limit: PAGE });
    await onResidents(page.map((resident) => shown(eService, resident)));
    if (page.length < PAGE) return;
  }
}

function shown({ clientId, legacyClaim }: EService, resident: NamedResident): RehearsedResident {
  const { email, naming, sub, legacy_id, doubt } = resident;
  return { client: clientId, email, naming, sub, legacy_id: legacyClaim ? legacy_id : null, doubt };
}

async function counted(session: Session, { clientId, relation, legacyClaim }: EService): Promise<Rehearsal> {
  const rows = await namingCounts(session, relation);
  const sum = (of: 'residents' | 'with_legacy_id' | 'in_doubt'): number => rows.reduce((all, row) => all + row[of], 0);
  const sub = Object.fromEntries(NAMINGS.map((each) => [each, 0])) as Record<Naming, number>;
  for (const { naming, residents } of rows) sub[naming] = residents;
  return {
    client: clientId,
    subject_type: relation.subjectType,
    source: relation.source ?? null,
    residents: sum('residents'),
    sub,
    legacy_id: legacyClaim ? sum('with_legacy_id') : 0,
    in_doubt: sum('in_doubt'),
  };
}
