import { images as platform } from "../../components/images.ts";
import { images as own } from "../../images.ts";

/** Every image of Reach, the platform's and its own. */
export const images = { ...platform, ...own };

/** Those that every stack runs or builds from: without the one that only a tunnel needs. */
export const everyStacks = { ...images, cloudflared: undefined };
