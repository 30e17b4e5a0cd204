import { kinds, type Fields } from "./cloudflare-fields.ts";
import type { CloudflareState } from "./cloudflare-records.ts";
import { ofType } from "./cloudflare-state.ts";
import type { Finding } from "./finding.ts";
import type { ExpectedAtCloudflare, ExpectedCloudflare } from "./expected-state.ts";

/** All that differs at Cloudflare, and what is there that the stack did not make. No value of a token is in it. */
export function cloudflareFindings(promised: ExpectedCloudflare, state: CloudflareState): Finding[] {
  return [
    ...promised.all.flatMap((one) => differences(one, promised, state)),
    ...foreignRecords(promised, state),
    ...foreignTokens(promised, state),
  ];
}

const PUT_RIGHT =
  "Find out who changed it: the account's audit log at Cloudflare says. `pulumi refresh`, then `bulkhead up`, fixes it.";
const NEW_TOKEN =
  "Somebody rolled this token or changed what it may do. `pulumi up --replace` of it makes a new one and hands it to its reader.";
const NOT_NAMED =
  "The program does not name it, so that no update puts it back: do that at Cloudflare, or `pulumi up --replace` makes the record anew.";
const NOT_IN_PROGRAM =
  "The stack did not make it, and no update takes it away. Find out whose it is, and delete it or switch it off at Cloudflare.";

function differences(one: ExpectedAtCloudflare, all: ExpectedCloudflare, state: CloudflareState): Finding[] {
  const kind = kinds[one.type];
  if (kind === undefined) return [];
  const answers = state.answers[one.name] ?? {};
  const resource = one.name;
  if (answers["it"] === undefined)
    return [{ resource, field: "itself", promised: "there", found: "gone", cure: PUT_RIGHT }];
  const [wanted, found] = [kind.promise(one, all, state), kind.read(answers, one, all, state)];
  return [...new Set([...Object.keys(wanted), ...Object.keys(found)])].flatMap((field): Finding[] => {
    if (wanted[field] === found[field]) return [];
    // Of a rule that is gone, or too much, that is said, and not what is in it.
    const [whole, inner] = field.split(": ", 2) as [string, string | undefined];
    if (inner !== undefined && wanted[whole] !== found[whole]) return [];
    const named = wanted[field] !== undefined;
    return [{ resource, field, ...shown(wanted, found, field), cure: cureOf(one.type, field, named) }];
  });
}

function cureOf(type: string, field: string, named: boolean): string {
  if (type === "AccountToken") return NEW_TOKEN;
  if (type === "R2Bucket" && !named) return NOT_IN_PROGRAM;
  return type === "DnsRecord" && field.startsWith("settings.") ? NOT_NAMED : PUT_RIGHT;
}

/** What is not there is no text: `false` where the other is `true`, and `gone` where it was there. */
function shown(wanted: Fields, found: Fields, field: string): { promised: string; found: string } {
  const [promised, is] = [wanted[field], found[field]];
  const absent = (other: string | undefined) => (other === "true" ? "false" : "none");
  return { promised: promised ?? absent(is), found: is ?? (promised === "there" ? "gone" : absent(promised)) };
}

/** Others at the stack's names, of types that decide who answers there and who may certify it. */
function foreignRecords(promised: ExpectedCloudflare, { records }: CloudflareState): Finding[] {
  const own = ofType(promised, "DnsRecord");
  const ids = new Set(own.map(({ id }) => id));
  const bound = new Set(own.filter(({ inputs }) => inputs["type"] === "CAA").map(({ inputs }) => inputs["name"]));
  return records
    .filter(({ id, name, type }) => !ids.has(id) && (LEADING.includes(type) || (type === "CAA" && bound.has(name))))
    .map(({ name, type, content }) => ({
      ...{ resource: name, field: "record that the stack did not make", promised: "none" },
      ...{ found: `${type} ${content}`, cure: NOT_IN_PROGRAM },
    }));
}

const LEADING = ["A", "AAAA", "CNAME", "HTTPS", "SVCB", "NS"];

/** Others that open the stack's bucket, or bear the name of a token of the stack. */
function foreignTokens(promised: ExpectedCloudflare, { tokens }: CloudflareState): Finding[] {
  const own = ofType(promised, "AccountToken");
  const ids = new Set(own.map(({ id }) => id));
  const withoutDate = (name: unknown) => String(name).replace(/-\d{4}-\d\d-\d\d$/, "");
  const names = new Set(own.map(({ inputs }) => withoutDate(inputs["name"])));
  const opened = own.flatMap(({ inputs }) =>
    (inputs["policies"] as { resources: string }[]).flatMap(({ resources }) =>
      Object.keys(JSON.parse(resources) as object),
    ),
  );
  // Others open the zone too, for names of their own.
  const buckets = new Set(opened.filter((resource) => resource.startsWith("com.cloudflare.edge.r2.bucket.")));
  return tokens
    .filter(({ id }) => !ids.has(id))
    .flatMap(({ name, policies }): Finding[] => {
      const found = policies.flatMap(({ resources }) => Object.keys(resources)).filter((key) => buckets.has(key));
      const token = (field: string, found: string) => ({
        ...{ resource: `token ${name}`, field, promised: "none", found, cure: NOT_IN_PROGRAM },
      });
      if (found.length > 0) return [token("token for the stack's bucket", found.join(", "))];
      return names.has(withoutDate(name)) ? [token("token with the name of one of the stack's", name)] : [];
    });
}
