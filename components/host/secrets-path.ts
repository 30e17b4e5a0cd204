/** Where a container finds its secrets. Apart from what makes them, so that the command reads it without Pulumi. */
export const SECRETS_PATH = "/run/secrets";
