import type * as docker from "@pulumi/docker/container.js";

export interface Health {
  /** Exec form, like ["CMD", "traefik", "healthcheck"]. */
  test: string[];
  /**
   * Each look costs the host almost a tenth of a processor's second. While it starts, it is looked at twice a second.
   * @default 10; engines before 25 know no other interval for the start: 2
   */
  intervalSeconds?: number;
  /** @default 3 */
  timeoutSeconds?: number;
  /** Failures in a row that make it unhealthy. @default 3 */
  retries?: number;
  /** The update fails when it is not healthy by then. @default 60 */
  deadlineSeconds?: number;
  /** Whether an update waits until it is healthy. Not for what tells of something that comes true later. @default true */
  isAwaited?: boolean;
}

/** What the provider needs for it, where Docker knows a start interval or does not. */
export function healthArgs(health: Health, knowsStartInterval: boolean): Partial<docker.ContainerArgs> {
  const { test, timeoutSeconds = 3, retries = 3, deadlineSeconds = 60 } = health;
  const { intervalSeconds = knowsStartInterval ? 10 : 2 } = health;
  return {
    healthcheck: {
      tests: test,
      interval: duration(intervalSeconds),
      timeout: duration(timeoutSeconds),
      retries,
      // Never 0, for which Docker takes the image's own, and the provider then sees a change for ever.
      startPeriod: duration(knowsStartInterval ? deadlineSeconds : 0.001),
      startInterval: knowsStartInterval ? duration(Math.min(intervalSeconds, 0.5)) : undefined,
    },
    wait: health.isAwaited ?? true,
    waitTimeout: deadlineSeconds,
  };
}

/** As the provider reads it back, which is how Go writes it; any other spelling would show as a change for ever. */
function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return `${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
}
