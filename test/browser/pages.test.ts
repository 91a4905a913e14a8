/** The pages that every resident meets, in the first language and in light; `npm run test:long` walks all of them. */
import { everyPageIn } from './every-page.ts';

everyPageIn(['fi'], { which: 'common', schemes: ['light'] });
