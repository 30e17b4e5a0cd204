// Names that the edge serves beside the main one, by a label of the job that writes its settings.
import { labelOf } from "../../policy/inputs.ts";
import { listOf, settingOf, type ContainerChange } from "./container-change.ts";

/** A line for each name that comes, goes, or leads elsewhere. */
export function nameLines(containers: readonly ContainerChange[]): string[] {
  return containers.flatMap(({ before, after }) => {
    // Of an edge that is new, or gone, all is new or gone.
    if (before === undefined || after === undefined) return [];
    const [was, is] = [namesIn(before), namesIn(after)];
    return [...new Set([...Object.keys(was), ...Object.keys(is)])].sort().flatMap((name) => {
      const [from, to] = [was[name], is[name]];
      // A job of before the label was there has the name in what it wrote.
      if (from === to || (from === undefined && settingOf(before, "ROUTE")?.includes(name))) return [];
      if (to === undefined)
        return `\`${name}\` ${from === "" ? "is no longer served" : "no longer redirects"}: its clients get 404`;
      return `\`${name}\` ${to === "" ? "is served" : `redirects to \`${to}\``} from now on`;
    });
  });
}

function namesIn({ labels }: NonNullable<ContainerChange["before"]>): Record<string, string> {
  const text = labelOf({ labels: listOf(labels) }, "bulkhead.names");
  return text === undefined ? {} : (JSON.parse(text) as Record<string, string>);
}
