/** Each page in the first language, in light; the others, and the dark, are walked by `npm run test:long`. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['fi'], ['light']);
