import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { filesUnder, kept, keyOf } from "../../toolchain/cache.ts";
import { goBuild } from "../../toolchain/go.ts";
import { makeCertificates } from "../../tests/support/certificates.ts";
import type { CommandResult } from "../../tests/support/command.ts";
import type { RemoteHost } from "../../tests/support/remote-host.ts";
import { common } from "./contender.ts";

/** What a person who deploys with the docker command on the host has put there before. */
export interface OnHost {
  host: RemoteHost;
  ca: string;
  /** Runs a shell command there over one ssh connection of its own, with what the files beside this one name set. */
  run: (command: string, env: Record<string, string>) => Promise<CommandResult>;
}

export async function prepareOnHost(host: RemoteHost, traefikImage: string): Promise<OnHost> {
  const put = async (path: string, content: string) => {
    const script = 'mkdir -p "$(dirname "$0")" && cat > "$0"';
    await must(host.exec("sh", ["-c", script, path], { input: content }));
  };
  const { ca, certificate, privateKey } = await makeCertificates(common.domain);
  await put("/srv/bench/tls/certificate.pem", certificate);
  await put("/srv/bench/tls/key.pem", privateKey);
  await put("/srv/bench/tls/tls.yaml", TLS);
  await put("/srv/bench/api-key", "a".repeat(64));
  for (const file of ["compose.yaml", "stack.yaml", "rollout.sh"])
    await put(`/srv/bench/${file}`, readFileSync(join(import.meta.dirname, file), "utf8"));
  const plugin = "/usr/libexec/docker/cli-plugins/docker-compose";
  const install = 'mkdir -p "$(dirname "$0")" && cat > "$0" && chmod 755 "$0"';
  await must(host.exec("sh", ["-c", install, plugin], { input: createReadStream(await provideCompose()) }));

  return {
    host,
    ca,
    run: (command, env) => {
      const all = { ...env, TRAEFIK_IMAGE: traefikImage, DOMAIN: common.domain, DRAIN_SECONDS: common.drainSeconds };
      const settings = Object.entries(all).map(([key, value]) => `${key}='${value}'`);
      return host.ssh(`cd /srv/bench && export ${settings.join(" ")} && ${command}`);
    },
  };
}

export async function must(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  if (result.code === 0) return result;
  throw new Error(`exit ${result.code}: ${result.stderr}${result.stdout}`);
}

const TLS = `
tls:
  stores:
    default:
      defaultCertificate: { certFile: /etc/traefik/certificate.pem, keyFile: /etc/traefik/key.pem }
`;

export const composeVersion = "5.6.0";

/** Docker Compose, which Debian has only in a version of long ago. */
export async function provideCompose(): Promise<string> {
  const module = join(import.meta.dirname, "..", "compose");
  const directory = await kept("compose", keyOf(composeVersion, await filesUnder(module), process.arch), (output) =>
    goBuild({
      title: `Docker Compose ${composeVersion}`,
      module,
      programs: ["github.com/docker/compose/v5/cmd"],
      linkerFlags: `-X github.com/docker/compose/v5/internal.Version=v${composeVersion}`,
      output,
    }),
  );
  return join(directory, "cmd");
}
