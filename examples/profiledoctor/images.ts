import { dataImages, siteImages } from "bulkhead";

/** What ProfileDoctor takes beside the platform's own images, by tag and digest. */
export const images = {
  /** What the API is built from. */
  python: "python:3.12.15-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258",
  /** What the page is built with. */
  node: "node:24.21.0-bookworm-slim@sha256:d6aa754f16b3197301076f047b5def2f02ea1dbbc2ca920407d46d7ec7f87b20",
  /** What serves the page. */
  nginx: siteImages.nginx,
  /** The database. */
  postgres: dataImages.postgres,
  /** The cache. */
  valkey: dataImages.valkey,
  /** What encrypts backups and sends them. */
  rclone: dataImages.rclone,
} as const;
