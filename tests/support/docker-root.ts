import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { kept, keyOf } from "../../toolchain/cache.ts";
import { requirePrograms } from "../../toolchain/debian.ts";
import { run, step } from "../../toolchain/steps.ts";

/** Debian 13 with its Docker (26.1) and sshd, for hosts of the tests: as a tarball, or unpacked for a chroot. */
export async function dockerRootTarball(): Promise<string> {
  return join(await kept("docker-root-tarball", dockerRootKey, makeTarball), TARBALL);
}

export async function dockerRootDirectory(): Promise<string> {
  return kept("docker-root", dockerRootKey, async (directory) => {
    const tarball = await dockerRootTarball();
    await step("unpacking Debian 13 with its Docker, for the tests", () =>
      run("tar", ["-xf", tarball, "--numeric-owner", "--exclude=./dev/*", "-C", directory]),
    );
  });
}

const TARBALL = "root.tar";
const suite = "trixie";
const packages = "docker.io docker-cli openssh-server iproute2 iptables procps ca-certificates".split(" ");
const setUp = `
useradd --create-home --shell /bin/bash --groups docker --password '*' deploy
rm /etc/ssh/ssh_host_*
cat >/etc/ssh/sshd_config.d/keys-only.conf <<END
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers deploy
END
`;

export const dockerRootKey = keyOf(suite, packages, setUp);

async function makeTarball(directory: string): Promise<void> {
  await requirePrograms("the tests' hosts", { mmdebstrap: "mmdebstrap" });
  const script = join(directory, "set-up");
  writeFileSync(script, `#!/bin/sh\nset -e\n${setUp}`, { mode: 0o755 });
  await step(`making the tests' hosts from Debian ${suite}`, () =>
    run("mmdebstrap", [
      ...["--variant=minbase", `--include=${packages.join(",")}`],
      ...["doc", "man", "locale", "info"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
      ...[`--customize-hook=copy-in ${script} /tmp`, '--customize-hook=chroot "$1" /tmp/set-up'],
      ...[suite, join(directory, TARBALL)],
    ]),
  );
}
