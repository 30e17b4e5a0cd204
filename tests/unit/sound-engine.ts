import type { EngineFacts } from "../../cli/doctor/host-facts.ts";

/** What an engine says of itself with which nothing is wrong. */
export const soundEngine: EngineFacts = {
  Name: "box",
  ServerVersion: "29.3.0",
  SystemTime: "2026-01-01T00:00:00Z",
  DockerRootDir: "/var/lib/docker",
  LiveRestoreEnabled: true,
  SecurityOptions: ["name=apparmor", "name=seccomp,profile=builtin", "name=userns", "name=cgroupns"],
  CgroupVersion: "2",
  CgroupDriver: "systemd",
  MemoryLimit: true,
  SwapLimit: true,
  CpuCfsQuota: true,
  PidsLimit: true,
  Driver: "overlay2",
  DriverStatus: [
    ["Backing Filesystem", "extfs"],
    ["Supports d_type", "true"],
  ],
  LoggingDriver: "json-file",
  MemTotal: 8 * 2 ** 30,
  Warnings: null,
};
