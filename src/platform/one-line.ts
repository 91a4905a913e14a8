/**
 * Owns how what somebody typed becomes one line: without what nobody sees and what turns letters round, which would make a
 * page or a mail say something else than it seems to.
 */
export function oneLine(text: string): string {
  return text
    .normalize('NFC')
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim();
}
