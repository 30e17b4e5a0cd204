import { defineSettings } from "../../../components/settings/settings.ts";
import { images } from "../../../images.ts";

export const settings = defineSettings({ images });
