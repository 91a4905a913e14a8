/** Each page in each language, in light and dark. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['fi', 'sv', 'en'], { which: 'all', schemes: ['light', 'dark'] });
