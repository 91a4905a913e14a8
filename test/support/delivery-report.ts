/** A delivery report (RFC 3464) for tests. */
interface Wishes {
  action?: string;
  status?: string;
  envelope?: string;
  messageId?: string;
  headersOnly?: boolean;
}

/** As Postfix writes it. */
export function report({
  action = 'failed',
  status = '5.1.1',
  envelope,
  messageId,
  headersOnly = true,
}: Wishes): Buffer {
  const lines = [
    'From: MAILER-DAEMON@mx.example (Mail Delivery System)',
    'Subject: Undelivered Mail Returned to Sender',
    'To: no-reply@kaupunki.example',
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status;',
    '\tboundary="4F1.1732/mx.example"',
    '',
    'This is a MIME-encapsulated message.',
    '',
    '--4F1.1732/mx.example',
    'Content-Description: Notification',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'I am sorry to have to inform you that your message could not be delivered.',
    '',
    '--4F1.1732/mx.example',
    'Content-Description: Delivery report',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.example',
    ...(envelope ? [`Original-Envelope-Id: ${envelope}`] : []),
    'Arrival-Date: Tue, 24 Nov 2026 12:00:00 +0200 (EET)',
    '',
    'Final-Recipient: rfc822; maija@example.com',
    `Action: ${action}`,
    `Status: ${status}`,
    'Diagnostic-Code: smtp; 550 5.1.1 <maija@example.com> unknown, see',
    '    https://mx.example/maija',
    '',
    '--4F1.1732/mx.example',
    'Content-Description: Undelivered Message Headers',
    `Content-Type: ${headersOnly ? 'text/rfc822-headers' : 'message/rfc822'}`,
    '',
    'Received: from tunnus',
    'Subject: Aseta uusi salasana',
    ...(messageId ? ['Message-ID:', ` <${messageId}>`] : []),
    '',
    ...(headersOnly ? [] : ['Message-ID: <11111111-1111-4111-8111-111111111111@x>', 'the body']),
    '--4F1.1732/mx.example--',
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}
