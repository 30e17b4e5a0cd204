import type { Contender } from "./contender.ts";
import { must, type OnHost } from "./on-host.ts";

/** `docker compose up -d`, which replaces the container of a service by stopping it first. */
export async function startComposeUp(onHost: OnHost, image: string): Promise<Contender> {
  const up = "docker compose up --detach --quiet-pull";
  return startProject(onHost, image, {
    name: "docker compose up -d",
    what:
      "`ssh host docker compose up -d` of one service behind Traefik with the Docker provider. The health check has a " +
      "`start_interval` of 0.5 s, because Traefik leads nowhere until the new container is healthy.",
    project: "up",
    port: 8543,
    retries: 3,
    deploy: up,
  });
}

/** The steps of docker-rollout 0.12 with container draining, as its documentation has them. */
export async function startComposeRollout(onHost: OnHost, image: string): Promise<Contender> {
  return startProject(onHost, image, {
    name: "docker-rollout",
    what:
      "`ssh host` to a script with the steps of docker-rollout 0.12 and its container draining, on the same compose " +
      "file: scale to two, wait until the new container is healthy, make the old one unhealthy and wait 5 s (the " +
      "health check has an interval of 2 s and one retry), stop and remove it.",
    project: "rollout",
    port: 8743,
    retries: 1,
    deploy: "sh rollout.sh",
  });
}

interface Project {
  name: string;
  what: string;
  project: string;
  port: number;
  retries: number;
  deploy: string;
}

async function startProject(onHost: OnHost, image: string, project: Project): Promise<Contender> {
  const { name, what, port, deploy } = project;
  const env = (backend: string) => ({
    COMPOSE_PROJECT_NAME: project.project,
    BACKEND_IMAGE: backend,
    PORT: String(port),
    HEALTH_RETRIES: String(project.retries),
  });
  await must(onHost.run("docker compose up --detach --wait", env(image)));
  return {
    name,
    what,
    port,
    ca: onHost.ca,
    deploy: (next) => onHost.run(deploy, env(next)),
    stop: async () => {
      await must(onHost.run("docker compose down --timeout 1", env(image)));
    },
  };
}
