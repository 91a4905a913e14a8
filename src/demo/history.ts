/**
 * What residents did in the demo e-services years ago, kept by each e-service's own old user id.
 *
 * Made up, yet always the same for one id: it stands for the table that a real e-service has in its own database. Nothing
 * here knows who the resident is, and an id that is not of the e-service's own old kind has no history.
 */
import { createHash } from 'node:crypto';
import type { Language } from './e-service-texts.ts';

export interface Deed {
  year: number;
  title: Readonly<Record<Language, string>>;
  reference: string;
}

export type History = (oldId: string) => Deed[];

const errands: Deed['title'][] = [
  { fi: 'Venepaikka-anomus', sv: 'Ansökan om båtplats', en: 'Application for a boat berth' },
  { fi: 'Palstaviljelyhakemus', sv: 'Ansökan om odlingslott', en: 'Application for an allotment' },
  { fi: 'Varhaiskasvatushakemus', sv: 'Ansökan om småbarnspedagogik', en: 'Application for early education' },
  { fi: 'Pysäköintitunnus asukkaalle', sv: 'Parkeringstillstånd för boende', en: 'Resident parking permit' },
  { fi: 'Ilmoitus puun kaatamisesta', sv: 'Anmälan om trädfällning', en: 'Notice of felling a tree' },
  { fi: 'Kesätyöhakemus', sv: 'Ansökan om sommarjobb', en: 'Application for a summer job' },
];

const mapDeeds: Deed['title'][] = [
  { fi: 'Palaute kuopasta ajoradalla', sv: 'Respons om en grop i vägen', en: 'Report of a hole in the road' },
  {
    fi: 'Oma reitti: saariston rengastie',
    sv: 'Egen rutt: skärgårdens ringväg',
    en: 'Own route: archipelago ring road',
  },
  { fi: 'Mielipide kaavaluonnoksesta', sv: 'Åsikt om planutkastet', en: 'Opinion on a draft plan' },
  { fi: 'Merkitty uimapaikka', sv: 'Markerad badplats', en: 'Marked swimming place' },
];

export const asiointiHistory = historyOf(/^U\d+$/, errands);
export const karttaHistory = historyOf(/^kt-\d+$/, mapDeeds);
/** An e-service that is new: it had no users before. */
export const terveysHistory: History = () => [];

function historyOf(oldIds: RegExp, titles: readonly Deed['title'][]): History {
  return (oldId) => {
    if (!oldIds.test(oldId)) return [];
    const dice = createHash('sha256').update(oldId).digest();
    const first = dice[0]! % titles.length;
    return Array.from({ length: 2 + (dice[1]! % 2) }, (_, i) => ({
      year: 2018 - 2 * i - (dice[2 + i]! % 2),
      title: titles[(first + i) % titles.length]!,
      reference: `${oldId}/${100 + dice[5 + i]!}`,
    }));
  };
}
