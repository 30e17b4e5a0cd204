/** The official image that tests of the database run, or its stand-in where no registry can be reached. */
export const POSTGRES_IMAGE =
  "postgres:17.11-bookworm@sha256:639ab7ceb90e13123085b741fb31ef493fba25463002f6da665352e7b534b652";
