/** Each page in the languages that pages.test.ts leaves out, in light and dark. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['sv', 'en'], ['light', 'dark']);
