import { images as platform, siteImages } from "../../components/images.ts";
import { images as own } from "../../images.ts";

/** Every image of Reach, the platform's and its own. */
export const images = { ...platform, ...siteImages, ...own };

/** Those that every stack runs or builds from: without those that only a tunnel or a site needs. */
export const everyStacks = { ...images, cloudflared: undefined, nginx: undefined };
