// What may differ between stacks. It stands in Pulumi.<stack>.yaml, beside the platform's own keys.
import { defineSettings, text } from "bulkhead/settings";

export const settings = defineSettings({
  // What app/Dockerfile builds from.
  images: {
    node: "node:24.21.0-bookworm-slim@sha256:d6aa754f16b3197301076f047b5def2f02ea1dbbc2ca920407d46d7ec7f87b20",
  },
  builtImages: ["hello"],
  keys: {
    greeting: text(/^[^\r\n]{1,80}$/, "is not a line of text", "give a line of up to 80 letters")
      .default("Hello")
      .describe("What the service answers with. Default Hello."),
  },
});
