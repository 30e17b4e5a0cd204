import { expect, test } from "vitest";
import { covers, domainOf, hostPriority, hostRule, LAST_PRIORITY } from "../../components/edge/hosts.ts";

test("a wildcard stands for one label, and for no other wildcard", () => {
  expect(covers("example.com", "example.com")).toBe(true);
  expect(covers("example.com", "a.example.com")).toBe(false);
  expect(covers("*.t.example.com", "a.t.example.com")).toBe(true);
  expect(covers("*.t.example.com", "*.t.example.com")).toBe(true);
  for (const host of ["t.example.com", "a.b.t.example.com", "*.b.t.example.com", "at.example.com", "*.example.com"])
    expect(covers("*.t.example.com", host), host).toBe(false);
});

test("a name of its own comes before the wildcard that stands for it", () => {
  const domains = [{ name: "*.example.com" }, { name: "a.example.com" }];
  expect(domainOf(domains, "a.example.com")).toBe(domains[1]);
  expect(domainOf(domains, "b.example.com")).toBe(domains[0]);
  expect(domainOf(domains, "example.com")).toBeUndefined();
});

test("Traefik asks every host before a wildcard, and a wildcard before what is nobody's", () => {
  expect(hostRule("example.com")).toBe("Host(`example.com`)");
  const rule = hostRule("*.t.example.com");
  expect(rule).toBe("HostRegexp(`^[a-z0-9-]+\\.t\\.example\\.com$`)");
  expect(hostPriority("a.t.example.com", rule)).toBeUndefined();
  const [short, long] = [hostPriority("*.t.example.com", rule)!, hostPriority("*.t.example.com", `${rule} && x`)!];
  expect(long).toBeGreaterThan(short);
  expect(long).toBeLessThan(1);
  expect(short).toBeGreaterThan(LAST_PRIORITY);
});
