import { cloudflareInvariants } from "./cloudflare-invariants.ts";
import { containerInvariants } from "./container-invariants.ts";
import { networkInvariants } from "./network-invariants.ts";
import { secretInvariants } from "./secret-invariants.ts";
import { volumeInvariants } from "./volume-invariants.ts";
import { complaintsOf, type Invariants } from "./recorded.ts";
import { ofType } from "./recorder.ts";

/** What must be true of every resource of every stack. Each gives its complaints, which name the resource. */
export const invariants: Invariants = {
  ...secretInvariants,
  ...networkInvariants,
  ...containerInvariants,
  ...volumeInvariants,
  ...cloudflareInvariants,

  "everything on the host says whose it is": (recording) =>
    complaintsOf(
      recording.resources.filter(({ type }) => /^docker:index\/(container|network|volume):/.test(type)),
      ({ inputs }) => {
        const labels = (inputs["labels"] ?? []) as { label: string; value: string }[];
        const stack = labels.find(({ label }) => label === "bulkhead.stack")?.value;
        const name = inputs["name"] as string | undefined;
        return [
          ...(stack === recording.stackName ? [] : [`has the label bulkhead.stack: ${stack}`]),
          ...(name === undefined || name.startsWith(`${recording.stackName}-`)
            ? []
            : [`has the name ${name}, which another stack may have`]),
        ];
      },
    ),

  "everything goes to the stack's own host": (recording) => {
    const hosts = ofType(recording, "pulumi:providers:docker").map(({ urn }) => urn);
    return complaintsOf(
      recording.resources.filter(({ type }) => type.startsWith("docker:")),
      ({ provider }) => (hosts.includes(provider.slice(0, provider.lastIndexOf("::"))) ? [] : ["has no provider"]),
    );
  },

  "a child's name begins with its parent's": (recording) =>
    complaintsOf(recording.resources, (resource) => {
      const parent = recording.resources.find(({ urn }) => urn === resource.parent);
      if (parent === undefined || parent.type === "pulumi:pulumi:Stack") return [];
      return `${resource.name}-`.startsWith(`${parent.name}-`) ? [] : [`is the child of ${parent.name}`];
    }),
};
