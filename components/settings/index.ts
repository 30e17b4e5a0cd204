/**
 * What a program's settings.ts imports: `import { defineSettings } from "bulkhead/settings"`. It brings no resource with
 * it, as every command reads the settings and few make anything.
 */
export { defineSettings, type Config, type ProgramSettings, type SecretSetting, type Settings } from "./settings.ts";
export {
  imageReference,
  largestBody,
  object,
  port,
  serviceSettings,
  text,
  wholeNumber,
  yesOrNo,
  type ServiceDefaults,
} from "./fields.ts";
export { type Certificates } from "./certificates.ts";
export { ConfigError } from "./parse.ts";
export type { TcpPorts } from "./platform.ts";
