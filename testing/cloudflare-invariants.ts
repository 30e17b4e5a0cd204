// What is made at Cloudflare.
import type { DnsRecordArgs } from "@pulumi/cloudflare/dnsRecord.js";
import type { ZeroTrustTunnelCloudflaredConfigArgs } from "@pulumi/cloudflare/zeroTrustTunnelCloudflaredConfig.js";
import type { RulesetArgs } from "@pulumi/cloudflare/ruleset.js";
import type * as pulumi from "@pulumi/pulumi";
import { complaintsOf, type Invariants } from "./recorded.ts";
import { containers, hex, ofType, type Recording } from "./recorder.ts";

export const cloudflareInvariants: Invariants = {
  "a stack with a tunnel publishes no port, and its names lead there alone": (recording) => {
    const [tunnel] = ofType(recording, "ZeroTrustTunnelCloudflared");
    if (!tunnel) return [];
    const there = `${hex(tunnel.name, 32)}.cfargotunnel.com`;
    return [
      ...complaintsOf(containers(recording), ({ inputs }) =>
        (inputs.ports ?? []).map(({ external }) => `publishes ${external} beside the tunnel`),
      ),
      ...complaintsOf(dnsRecords(recording), ({ inputs: { type, content } }) =>
        type === "CAA" || content === there ? [] : [`leads to ${content}`],
      ),
    ];
  },

  "a tunnel leads to the door, whose certificate is checked, and nowhere else": (recording) =>
    complaintsOf(
      ofType<pulumi.Unwrap<ZeroTrustTunnelCloudflaredConfigArgs>>(recording, "ZeroTrustTunnelCloudflaredConfig"),
      ({ inputs }) => {
        const rules = inputs.config?.ingresses ?? [];
        return [
          ...rules
            .filter(({ service }) => service !== "https://door:8443" && service !== "http_status:404")
            .map(({ service }) => `leads to ${service}`),
          ...rules.filter(({ originRequest }) => originRequest?.noTlsVerify).map(() => "checks no certificate"),
          ...rules
            .filter(({ hostname, originRequest }) => hostname !== originRequest?.originServerName)
            .map(({ hostname }) => `does not ask for the certificate of ${hostname}`),
        ];
      },
    ),

  "no record shows the host's address without a reason": (recording) =>
    complaintsOf(dnsRecords(recording), ({ inputs: { type, proxied, comment } }) =>
      type === "CAA" || proxied === true || /, not proxied: .{10,}/.test(comment ?? "")
        ? []
        : [`has proxied: ${proxied} and the comment ${comment}`],
    ),

  "a name at Cloudflare is served with strict TLS": (recording) => {
    const settings = ofType<{ settingId: string; value: unknown }>(
      recording,
      "cloudflare:index/zoneSetting:ZoneSetting",
    );
    const value = (id: string) => settings.find(({ inputs }) => inputs.settingId === id)?.inputs.value;
    const wanted = { ssl: ["strict"], always_use_https: ["on"], min_tls_version: ["1.2", "1.3"], tls_1_3: ["on"] };
    if (dnsRecords(recording).length === 0) return [];
    return Object.entries(wanted)
      .filter(([id, values]) => !values.includes(value(id) as string))
      .map(([id]) => `the zone has ${id}: ${JSON.stringify(value(id))}`);
  },

  "Cloudflare's caches hold nothing but static files": (recording) =>
    complaintsOf(ofType<pulumi.Unwrap<RulesetArgs>>(recording, "cloudflare:index/ruleset:Ruleset"), ({ inputs }) => {
      const rules = inputs.rules ?? [];
      const cached = rules.filter(({ actionParameters }) => actionParameters?.cache !== false);
      return [
        ...cached
          .filter(({ expression }) => !/ and \(starts_with\(http\.request\.uri\.path, "\/\w+\/"\)/.test(expression))
          .map(({ expression }) => `caches ${expression}`),
        ...(rules.length > cached.length ? [] : ["has no rule for the rest"]),
      ];
    }),

  "everything at Cloudflare goes through the stack's own account": (recording) => {
    const accounts = ofType(recording, "pulumi:providers:cloudflare").map(({ urn }) => urn);
    return complaintsOf(
      recording.resources.filter(({ type }) => type.startsWith("cloudflare:")),
      ({ provider }) => (accounts.includes(provider.slice(0, provider.lastIndexOf("::"))) ? [] : ["has no provider"]),
    );
  },
};

function dnsRecords(recording: Recording) {
  return ofType<pulumi.Unwrap<DnsRecordArgs>>(recording, "cloudflare:index/dnsRecord:DnsRecord");
}
