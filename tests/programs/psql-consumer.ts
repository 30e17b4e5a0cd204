import type { Network } from "@pulumi/docker/network.js";
import type { Login } from "../../components/data/postgres.ts";
import { Container } from "../../components/host/container.ts";
import type { DataVolume } from "../../components/host/data-volume.ts";
import type { DockerHost } from "../../components/host/docker-host.ts";
import type { Limits } from "../../components/host/hardening.ts";
import { SecretFiles } from "../../components/host/secret.ts";

export interface PsqlConsumerArgs {
  host: DockerHost;
  /** With psql. */
  image: string;
  login: Login;
  network: Network;
  /** Mounted at /notes. */
  notes: DataVolume;
  /** Of the shell; psql needs no more arguments. */
  script: string;
  /** The file that is there when it works. */
  works: string;
  /** @default 64 MiB, half a CPU, 32 processes */
  limits?: Limits;
  /** @default none */
  env?: Record<string, string>;
}

/** A consumer of a database that is a script with psql, and writes its notes where they stay. */
export function psqlConsumer(name: string, args: PsqlConsumerArgs): void {
  const { host, image, login, network, notes, script, works, env = {} } = args;
  const { limits = { memoryMb: 64, cpus: 0.5, pids: 32 } } = args;
  const files = new SecretFiles(`${name}-secrets`, { host, readerUid: "999", secrets: login.secrets });
  new Container(
    name,
    {
      ...{ host, image, role: "worker", run: "always", user: "999:999", limits },
      env: { ...login.env, ...files.env, ...env },
      volumes: [files.volume, { name: notes.volumeName, path: "/notes", writable: true, noCopy: true }],
      // Where the image declares a volume, Docker would make one without a name.
      tmpfsMb: { "/tmp": 16, "/var/lib/postgresql/data": 1 },
      networks: [{ name: network.name, aliases: [name] }],
      entrypoint: ["/bin/sh", "-c", `${CONNECT}\n${script}`],
      command: [],
      health: { test: ["CMD", "test", "-e", works] },
      graceSeconds: 1,
    },
    { dependsOn: notes },
  );
}

const CONNECT = `
export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER" PGCONNECT_TIMEOUT=2
printf '*:*:*:*:%s\\n' "$(cat "$DATABASE_PASSWORD_FILE")" > /tmp/pgpass
chmod 600 /tmp/pgpass
export PGPASSFILE=/tmp/pgpass
`;
