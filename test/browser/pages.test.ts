/** Each page in the first language; the others are walked by `npm run test:long`. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['fi']);
