import { siteImages } from "../../../components/images.ts";
import { defineSettings } from "../../../components/settings/settings.ts";
import { images } from "../../../images.ts";

export const settings = defineSettings({ images: { ...images, nginx: siteImages.nginx }, tcp: { wire: 2300 } });
