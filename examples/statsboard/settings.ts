// What the stack files of StatsBoard may say, beside what those of every program may.
import { defineSettings, serviceSettings } from "bulkhead/settings";
import { images } from "./images.ts";

export const settings = defineSettings({
  images,
  builtImages: ["backend"],
  keys: {
    backend: serviceSettings({
      memoryMb: 512,
      memoryReservationMb: 256,
      cpus: 0.5,
      pids: 64,
      drainSeconds: 20,
    }).describe("Limits of the API."),
    site: serviceSettings({ memoryMb: 64, cpus: 0.25, pids: 32, drainSeconds: 5 }).describe("Limits of the site."),
    database: serviceSettings({ memoryMb: 512, cpus: 1, pids: 128 }).describe("Limits of the database."),
  },
});
