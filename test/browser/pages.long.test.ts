/** Each page in the languages that pages.test.ts leaves out. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['sv', 'en']);
