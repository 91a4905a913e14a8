/** Each page in the city's first language. */
import { everyPageIn } from './every-page.ts';

everyPageIn('fi');
