/**
 * The words of the demo e-services in the city's three languages. The provider's own words live in views/text.
 */
export type Language = 'fi' | 'sv' | 'en';
export const languages: readonly Language[] = ['fi', 'sv', 'en'];
export const languageNames: Readonly<Record<Language, string>> = { fi: 'Suomi', sv: 'Svenska', en: 'English' };

export type ServiceName = 'asiointi' | 'kartta' | 'terveys';

interface Texts {
  names: Readonly<Record<ServiceName, string>>;
  leads: Readonly<Record<ServiceName, string>>;
  signIn: string;
  signOut: string;
  signedInAs: string;
  welcome: string;
  singleSignOn: string;
  twoSteps: string;
  history: string;
  noHistory: string;
  historyBy: string;
  otherService: string;
  signedOut: string;
  signedOutLead: string;
  interrupted: string;
  interruptedLead: string;
  unavailable: string;
  unavailableLead: string;
  notFound: string;
  toFront: string;
  languages: string;
}

export const texts: Readonly<Record<Language, Texts>> = {
  fi: {
    names: { asiointi: 'Sähköinen asiointi', kartta: 'Karttapalvelu', terveys: 'Oma terveys' },
    leads: {
      asiointi: 'Hae venepaikkaa, palstaa tai päivähoitoa ja seuraa hakemuksiasi.',
      kartta: 'Tallenna reittejä ja anna palautetta kartalla.',
      terveys: 'Katso terveystietojasi ja varaa aikoja. Tähän palveluun kirjaudutaan kahdessa vaiheessa.',
    },
    signIn: 'Kirjaudu sisään',
    signOut: 'Kirjaudu ulos',
    signedInAs: 'Kirjautuneena, omat asetukset:',
    welcome: 'Tervetuloa',
    singleSignOn: 'Sinun ei tarvinnut antaa salasanaasi uudelleen: olit jo kirjautunut kaupungin palveluihin.',
    twoSteps: 'Kirjauduit kahdessa vaiheessa.',
    history: 'Aiempi asiointisi',
    noHistory: 'Sinulla ei ole aiempaa asiointia tässä palvelussa.',
    historyBy: 'Vanha käyttäjänumerosi tässä palvelussa:',
    otherService: 'Siirry toiseen palveluun:',
    signedOut: 'Olet kirjautunut ulos',
    signedOutLead: 'Voit sulkea sivun tai kirjautua uudelleen.',
    interrupted: 'Kirjautuminen keskeytyi',
    interruptedLead: 'Et ole kirjautunut sisään. Voit yrittää uudelleen.',
    unavailable: 'Kirjautuminen ei onnistu juuri nyt',
    unavailableLead: 'Yritä hetken kuluttua uudelleen.',
    notFound: 'Sivua ei löydy',
    toFront: 'Etusivulle',
    languages: 'Kieli',
  },
  sv: {
    names: { asiointi: 'E-tjänsten', kartta: 'Karttjänsten', terveys: 'Min hälsa' },
    leads: {
      asiointi: 'Ansök om båtplats, odlingslott eller dagvård och följ dina ansökningar.',
      kartta: 'Spara rutter och ge respons på kartan.',
      terveys: 'Se dina hälsouppgifter och boka tider. Du loggar in i den här tjänsten i två steg.',
    },
    signIn: 'Logga in',
    signOut: 'Logga ut',
    signedInAs: 'Inloggad, mina inställningar:',
    welcome: 'Välkommen',
    singleSignOn: 'Du behövde inte ange ditt lösenord på nytt: du var redan inloggad i stadens tjänster.',
    twoSteps: 'Du loggade in i två steg.',
    history: 'Dina tidigare ärenden',
    noHistory: 'Du har inga tidigare ärenden i den här tjänsten.',
    historyBy: 'Ditt gamla användarnummer i den här tjänsten:',
    otherService: 'Gå till en annan e-tjänst:',
    signedOut: 'Du har loggat ut',
    signedOutLead: 'Du kan stänga sidan eller logga in på nytt.',
    interrupted: 'Inloggningen avbröts',
    interruptedLead: 'Du är inte inloggad. Du kan försöka på nytt.',
    unavailable: 'Det går inte att logga in just nu',
    unavailableLead: 'Försök på nytt om en stund.',
    notFound: 'Sidan finns inte',
    toFront: 'Till framsidan',
    languages: 'Språk',
  },
  en: {
    names: { asiointi: 'E-services', kartta: 'Map service', terveys: 'My health' },
    leads: {
      asiointi: 'Apply for a boat berth, an allotment or day care, and follow your applications.',
      kartta: 'Save routes and give feedback on the map.',
      terveys: 'See your health records and book appointments. This service asks you to sign in in two steps.',
    },
    signIn: 'Sign in',
    signOut: 'Sign out',
    signedInAs: 'Signed in, account settings:',
    welcome: 'Welcome',
    singleSignOn: 'You did not have to give your password again: you were signed in to the city’s services already.',
    twoSteps: 'You signed in in two steps.',
    history: 'Your earlier history',
    noHistory: 'You have no earlier history in this service.',
    historyBy: 'Your old user number in this service:',
    otherService: 'Go to another service:',
    signedOut: 'You have signed out',
    signedOutLead: 'You can close this page or sign in again.',
    interrupted: 'Signing in was interrupted',
    interruptedLead: 'You are not signed in. You can try again.',
    unavailable: 'Signing in does not work right now',
    unavailableLead: 'Try again in a moment.',
    notFound: 'Page not found',
    toFront: 'To the front page',
    languages: 'Language',
  },
};
