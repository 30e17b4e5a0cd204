// What may differ between stacks. It stands in Pulumi.<stack>.yaml, beside the platform's own keys.
import { defineSettings } from "bulkhead/settings";

export const settings = defineSettings({
  builtImages: ["template-service"],
});
