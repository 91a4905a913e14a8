// How far a new password is, while it is typed. The page works without this file, and the server judges anew: by far more words
// than could be sent here. Nothing that is typed leaves the page before the form does.

for (const shown of document.querySelectorAll('[data-judges]')) {
  const field = document.getElementById(shown.dataset.judges);
  const [count, verdict] = shown.children;
  const least = Number(shown.dataset.least);
  const own = (field.form.elements.username?.value ?? '')
    .toLowerCase()
    .split(/[@._+-]/)
    .filter((part) => part.length > 3);

  const easy = (typed) => {
    const rest = own.reduce((left, part) => left.replaceAll(part, ''), typed.toLowerCase());
    return new Set(rest).size < 6;
  };
  field.addEventListener('input', () => {
    const typed = field.value.normalize('NFC');
    const length = [...typed].length;
    count.textContent = length === 0 ? '' : `${length}/${least}`;
    const words = length < least ? '' : easy(typed) ? shown.dataset.easy : shown.dataset.enough;
    // Told anew only when it changes, so that a screen reader is not talking all the time.
    if (verdict.textContent !== words) verdict.textContent = words;
    shown.hidden = length === 0;
  });
}
