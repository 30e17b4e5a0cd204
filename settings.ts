// What the stack files of Reach may say, beside what those of every program may.
import { defineSettings, serviceSettings } from "bulkhead/settings";
import { images } from "./images.ts";

export const settings = defineSettings({
  images,
  builtImages: ["backend", "frontend"],
  // Clients of the backend's tunnels.
  tcp: { clients: 2222 },
  keys: {
    backend: serviceSettings({ memoryMb: 512, cpus: 1, pids: 128 }).describe("Limits of the backend."),
    frontend: serviceSettings({ memoryMb: 256, cpus: 0.5, pids: 64 }).describe("Limits of the frontend."),
  },
});
