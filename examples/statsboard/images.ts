import { dataImages, siteImages } from "bulkhead";

/** What StatsBoard takes beside the platform's own images, by tag and digest. */
export const images = {
  /** What the API is built from. */
  python: "python:3.12.15-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258",
  /** What serves the site. */
  nginx: siteImages.nginx,
  /** The database. */
  postgres: dataImages.postgres,
  /** What encrypts backups and sends them. */
  rclone: dataImages.rclone,
} as const;
