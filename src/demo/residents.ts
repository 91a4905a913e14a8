/**
 * Who of the old user lists is worth a try, and what is true of them. Made-up people; config/demo/lists/ has them all.
 */
export const residents = {
  onAllLists: { email: 'suvi.niemi@example.com', asiointiId: 'U10140', karttaId: 'kt-15201' },
  onMapListOnly: { email: 'taina.mustonen@example.com' },
  inDoubt: { email: 'perhe0.u@example.org' },
  unknown: { email: 'suvi.niemi@example.fi' },
} as const;
