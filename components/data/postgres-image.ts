/** `postgres` in the official image on Debian. */
export const USER = "999:999";
/** Where that image has its volume, up to PostgreSQL 17. */
export const DATA_PATH = "/var/lib/postgresql/data";
