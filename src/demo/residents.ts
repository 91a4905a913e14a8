/**
 * Who of the old user lists is worth a try, and what is true of them. Made-up people; config/demo/lists/ has them all.
 */
export const residents = {
  onAllLists: { email: 'suvi.niemi@example.com', asiointiId: 'U10140', karttaId: 'kt-15201' },
  /** And on the list of bookings, which has no e-service here. */
  withBookings: { email: 'elina.hirvonen@example.com', asiointiId: 'U23937', elsewhereId: '12688' },
  onTwoLists: { email: 'aino.salminen@example.com', asiointiId: 'U15733', karttaId: 'kt-12849' },
  onErrandListOnly: { email: 'suvi.ohman6@example.com', asiointiId: 'U10028' },
  onMapListOnly: { email: 'taina.mustonen@example.com', karttaId: 'kt-10007' },
  /** One address with two old ids at the first e-service: whose history is whose? */
  inDoubt: { email: 'perhe0.u@example.org', notTied: ['UF00', 'UF01'] },
  unknown: { email: 'suvi.niemi@example.fi' },
} as const;
