import { userInfo } from "node:os";

/**
 * Says what stands between this machine and a Docker host, and exactly what to run. The program, the commands and
 * `bulkhead doctor` all say it with this.
 *
 * @param host as Docker's address was given: `unix:///path`, `tcp://address:port` or `ssh://user@address[:port]`.
 * @param error what `Engine` threw.
 * @param knownHosts the known_hosts file that the stack names, if it does.
 */
export function explainUnreachable(host: string, error: Error, knownHosts?: string): string {
  const said = (error.cause instanceof Error ? error.cause : error).message;
  const place = placeOf(host, knownHosts);
  for (const { says, only = "", explain } of DIAGNOSES) {
    const found = says.exec(said);
    if (found === null || !host.startsWith(only)) continue;
    const { wrong, cure } = explain(place, said);
    return [`${host}: ${wrong}`, ...cure.map((line) => `  ${line}`)].join("\n");
  }
  return `${host}: ${said}`;
}

interface Place {
  /** For ssh and the tools beside it. */
  login: string;
  user: string;
  name: string;
  port: string;
  portOption: string;
  knownHosts: string;
}

interface Kind {
  says: RegExp;
  /** How the host's URL begins. @default any */
  only?: string;
  explain: (place: Place, said: string) => { wrong: string; cure: string[] };
}

/** In what ssh, Docker and Node say on Linux and on macOS. The first that fits. */
const DIAGNOSES: readonly Kind[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed/,
    explain: ({ name, portOption }, said) => {
      const [, kind = "", fingerprint = "another one"] =
        /for the (\S+) key sent[^]*?(SHA256:\S+?)\.?$/m.exec(said) ?? [];
      const [, file = "known_hosts", line = "?"] = /Offending .*? in (.+):(\d+)/.exec(said) ?? [];
      return {
        wrong:
          `the host's key is not the one in ${file}, line ${line}: the host was installed anew, or something else ` +
          "answers in its place, to which you would hand your secrets",
        cure: [
          `What answers now has the ${kind} key ${fingerprint}.`,
          "1. See the host's own, on its console or where its provider shows it, not over this connection:",
          `     ssh-keygen -lf ${publicKeyFile(kind)}`,
          `2. If that is another than ${fingerprint}, do not connect: find out who answers.`,
          "3. If it is the same, and you know why it is new, fetch it, see that it still is, and keep it in place of the old:",
          `     ssh-keyscan${portOption}${typeOption(kind)} ${name} > host-key`,
          "     ssh-keygen -lf host-key",
          `     sed -i.old '${line}d' ${file} && cat host-key >> ${file}`,
        ],
      };
    },
  },
  {
    says: /No (\S+) host key is known for|Host key verification failed/,
    explain: ({ name, portOption, knownHosts }, said) => {
      // What stands behind an alias in the user's ssh settings, which ssh-keyscan does not read.
      const [, kind = "ED25519", at, port, plain] =
        /No (\S+) host key is known for (?:\[([^\]]+)\]:(\d+)|(\S+))/.exec(said) ?? [];
      const place = `${port === undefined ? portOption : ` -p ${port}`}${typeOption(kind)} ${at ?? plain ?? name}`;
      return {
        wrong: "this machine does not know the host's key, so anything could answer in its place",
        cure: [
          "1. Fetch the key of what answers, and see its fingerprint:",
          `     ssh-keyscan${place} > host-key`,
          "     ssh-keygen -lf host-key",
          "2. See the host's own, on its console or where its provider shows it:",
          `     ssh-keygen -lf ${publicKeyFile(kind)}`,
          "3. Only if the two are the same, keep it:",
          `     cat host-key >> ${knownHosts}`,
          "For everybody who deploys: commit it as a file, and name that as knownHosts in the stack file.",
        ],
      };
    },
  },
  {
    says: /Permission denied \(|Too many authentication failures|No more authentication methods/,
    explain: ({ login, user }, said) => ({
      wrong: `the host lets nobody in as ${user} with your keys (${lastLine(said)})`,
      cure: [
        "ssh-add -l                   # the keys of your agent: none, or none that the host knows",
        "ssh-add ~/.ssh/id_ed25519    # gives it one; ssh-keygen -t ed25519 makes one",
        `ssh-add -L                   # what has to stand in ~${user}/.ssh/authorized_keys on the host, a line for each`,
        `ssh ${login} true            # then this asks for nothing, and prints nothing`,
      ],
    }),
  },
  {
    says: /Could not resolve hostname|getaddrinfo E/,
    explain: ({ name }) => ({
      wrong: `the name ${name} has no address here`,
      cure: [
        `getent hosts ${name}    # prints nothing: correct the host in the stack file, or the name in DNS`,
        "An address serves as well as a name: ssh://user@203.0.113.10",
      ],
    }),
  },
  {
    says: /kex_exchange_identification|Not allowed at this time/,
    explain: ({ name }) => ({
      wrong: `the sshd of ${name} hung up before it said anything`,
      cure: [
        "Too many connect at once (MaxStartups), or it keeps this address out for a while after failed logins (fail2ban,",
        "PerSourcePenalties). Wait a minute and run this again. If it goes on, as root on the host:",
        "  journalctl -u ssh -u sshd -n 20",
      ],
    }),
  },
  {
    says: /docker: (command )?not found|(command not found|Unknown command): docker/,
    only: "ssh:",
    explain: ({ user }) => ({
      wrong: `there is no docker command on the host, or not on the PATH of ${user}`,
      cure: [
        "As root on the host, if it is Debian or Ubuntu; for others see https://docs.docker.com/engine/install/:",
        "  apt-get install -y docker.io",
      ],
    }),
  },
  {
    says: /permission denied/,
    only: "ssh:",
    explain: ({ user }) => ({
      wrong: `${user} may not use Docker there`,
      cure: [
        `As root on the host, if ${user} may be as much as root there, for that is who may use Docker:`,
        `  usermod -aG docker ${user}`,
      ],
    }),
  },
  {
    says: /docker\.sock|Cannot connect to the Docker daemon|open the raw stream connection/,
    only: "ssh:",
    explain: (_, said) => ({
      wrong: `Docker does not run there (${lastLine(said)})`,
      cure: [
        "As root on the host:",
        "  systemctl enable --now docker",
        "  journalctl -u docker -n 50    # if it ends again",
      ],
    }),
  },
  {
    says: /^no answer in/,
    only: "ssh:",
    explain: ({ login }, said) => ({
      wrong: `the host lets ssh in, but its Docker does not answer (${said})`,
      cure: [
        `ssh ${login} docker info    # does it answer there? If not, as root on the host:`,
        "  systemctl restart docker   # without live-restore this restarts every container",
      ],
    }),
  },
  {
    says: /Parse Error|Expected HTTP/,
    only: "ssh:",
    explain: ({ login }) => ({
      wrong: "what came back is not Docker's answer: something prints when its user logs in",
      cure: [`ssh ${login} true    # has to print nothing: see ~/.bashrc and the like on the host`],
    }),
  },
  {
    says: /connect to host|timed out|No route to host|Connection (refused|reset|closed)|unreachable/i,
    only: "ssh:",
    explain: ({ login, name, port }, said) => ({
      wrong: `nothing answers at ${name}, port ${port} (${lastLine(said)})`,
      cure: [
        "Is the host up, is this its address, and does a firewall (its own, its provider's, yours) let you through?",
        `  ssh -v ${login} true    # says how far it comes`,
      ],
    }),
  },
  {
    says: /spawn ssh ENOENT/,
    explain: () => ({ wrong: "there is no ssh on this machine", cure: ["Install OpenSSH's client."] }),
  },
  {
    says: /EACCES/,
    explain: () => ({
      wrong: `the Docker engine is not open to ${userInfo().username} (EACCES)`,
      cure: [`sudo usermod -aG docker ${userInfo().username}    # log in again, and run this again`],
    }),
  },
  {
    says: /ENOENT|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|no answer in/,
    explain: (_, said) => ({
      wrong: `no Docker engine answers there (${said.replace(/^connect /, "")})`,
      cure: ["Start Docker (https://docs.docker.com/get-docker/), or set DOCKER_HOST to where it is."],
    }),
  },
];

function placeOf(host: string, knownHosts = "~/.ssh/known_hosts"): Place {
  const { username, hostname, port } = new URL(host);
  const name = hostname.replace(/^\[|\]$/g, "");
  const user = username || userInfo().username;
  const portOption = port === "" ? "" : ` -p ${port}`;
  const login = `${portOption.slice(1)} ${username === "" ? "" : `${user}@`}${name}`.trim();
  return { login, user, name, port: port || "22", portOption, knownHosts };
}

function publicKeyFile(kind: string): string {
  return `/etc/ssh/ssh_host_${kind.toLowerCase() || "ed25519"}_key.pub`;
}

function typeOption(kind: string): string {
  return ` -t ${kind.toLowerCase() || "ed25519"}`;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)!.trim();
}
