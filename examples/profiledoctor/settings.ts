// What the stack files of ProfileDoctor may say, beside what those of every program may.
import { defineSettings, serviceSettings } from "bulkhead/settings";
import { images } from "./images.ts";

export const settings = defineSettings({
  images,
  builtImages: ["backend"],
  keys: {
    backend: serviceSettings({
      memoryMb: 512,
      memoryReservationMb: 256,
      cpus: 1,
      pids: 64,
      drainSeconds: 20,
    }).describe("Limits of the API."),
    frontend: serviceSettings({
      memoryMb: 256,
      memoryReservationMb: 128,
      cpus: 0.5,
      pids: 32,
      drainSeconds: 5,
    }).describe("Limits of what serves the page."),
    database: serviceSettings({ memoryMb: 512, memoryReservationMb: 256, cpus: 1, pids: 128 }).describe(
      "Limits of the database.",
    ),
    cache: serviceSettings({ memoryMb: 256, memoryReservationMb: 128, cpus: 0.5, pids: 32 }).describe(
      "Limits of the cache.",
    ),
  },
});
