/** The story of the move in Chromium with JavaScript. */
import { onceInTheStory, storyIn } from './the-story.ts';

storyIn({ javaScript: true });
onceInTheStory();
