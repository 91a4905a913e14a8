// Passkeys. Every page works without this file; what needs it is hidden until it runs.

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const named = (credentials) => credentials?.map((each) => ({ ...each, id: bytes(each.id) }));

const optionsOf = ({ dataset }) => {
  const options = JSON.parse(dataset.options);
  return {
    ...options,
    challenge: bytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
    allowCredentials: named(options.allowCredentials),
    excludeCredentials: named(options.excludeCredentials),
  };
};

// Sends the form with what the passkey answers. Who gives up stays on the page.
let asking;
const ask = async (form, how) => {
  asking?.abort();
  asking = new AbortController();
  const call = form.dataset.passkey;
  try {
    const request = { publicKey: optionsOf(form), signal: asking.signal, ...how };
    const { id, response } = await navigator.credentials[call](request);
    const answer = {};
    for (const part of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
      if (response[part]) answer[part] = text(response[part]);
    if (call === 'create') answer.transports = response.getTransports?.() ?? [];
    form.querySelector('input[name=passkey]').value = JSON.stringify({ id, response: answer });
    form.submit();
  } catch {
    // Nothing to tell: the browser has said why.
  }
};

const start = async () => {
  const { isConditionalMediationAvailable: conditional, isUserVerifyingPlatformAuthenticatorAvailable: local } =
    PublicKeyCredential;
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    form.addEventListener('submit', (event) => {
      if (event.submitter?.dataset.asks === undefined && form.dataset.asks === undefined) return;
      event.preventDefault();
      void ask(form);
    });
    // Among what the browser fills in; else by a button.
    if (form.dataset.waits !== undefined && (await conditional?.call(PublicKeyCredential)))
      void ask(form, { mediation: 'conditional' });
    else form.hidden = false;
  }
  for (const part of document.querySelectorAll('[data-with-passkeys]')) part.hidden = false;
  for (const part of document.querySelectorAll('[data-without-passkeys]')) part.hidden = true;
  // Whether this device could make one.
  const field = document.querySelector('input[name=passkeys]');
  if (field && (await local.call(PublicKeyCredential))) field.value = 'yes';
};
if (window.PublicKeyCredential) void start();
