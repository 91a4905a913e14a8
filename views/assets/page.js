// Every page works without this file.

// What an e-service wants posted goes on without a press.
document.querySelector('form[data-sends-itself]')?.submit();

// Shows and hides a typed password.
for (const button of document.querySelectorAll('[data-reveals]')) {
  const field = document.getElementById(button.dataset.reveals);
  const status = button.nextElementSibling;
  const [show, showWhole] = [button.textContent, button.getAttribute('aria-label')];
  const turn = (visible) => {
    field.type = visible ? 'text' : 'password';
    button.textContent = visible ? button.dataset.hide : show;
    button.setAttribute('aria-label', visible ? button.dataset.hideWhole : showWhole);
  };
  button.setAttribute('aria-controls', field.id);
  button.addEventListener('click', () => {
    turn(field.type === 'password');
    status.textContent = field.type === 'text' ? status.dataset.shown : status.dataset.hidden;
  });
  // Browsers remember what was typed into a text field, but not a password.
  field.form.addEventListener('submit', () => turn(false));
  // Going back brings the page as it was left.
  window.addEventListener('pageshow', () => turn(false));
  button.hidden = false;
}
