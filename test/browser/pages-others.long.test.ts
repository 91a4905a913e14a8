/** Each page in the other languages: a file of its own, so that they are walked beside the first. */
import { everyPageIn } from './every-page.ts';

everyPageIn('sv', 'en');
