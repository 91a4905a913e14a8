/** The story of the move in Chromium without JavaScript: nothing in it needs a script. */
import { storyIn } from './the-story.ts';

storyIn({ javaScript: false });
