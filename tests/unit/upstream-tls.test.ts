import { beforeAll, describe, expect, test } from "vitest";
import { candidateRoute } from "../../components/edge/candidate-route.ts";
import { serviceRoute } from "../../components/edge/service-route.ts";
import { upstreamProblems, upstreamTransport } from "../../components/edge/upstream-tls.ts";
import type { WebServiceArgs } from "../../components/edge/web-service.ts";
import { makeCertificates } from "../support/certificates.ts";

let ca: string;
beforeAll(async () => {
  ca = (await makeCertificates("example.test")).ca;
});

describe("a service that speaks TLS", () => {
  test("is known by its name and its authority, by clients' requests and when a release is tried", () => {
    const args = {
      edge: {
        domain: "example.com",
        middlewaresOf: () => [],
        domainOf: () => undefined,
        maxBodyMb: 1,
        clients: {},
        errorPages: [],
      },
      ...{ port: 8443, protocol: "https", upstreamTls: { caCertificatePem: ca }, healthPath: "/health" },
      routes: [{ paths: ["/"] }, { paths: ["/slow"], responseTimeoutSeconds: 300 }],
    } as unknown as WebServiceArgs;
    const { http } = serviceRoute("app", ["app-1"], args, { users: [], all: [] });
    const known = { serverName: "app", rootCAs: [ca] };
    expect(http!["serversTransports"]).toMatchObject({ app: known, "app-answers-2": known });
    expect(http!["services"]).toMatchObject({
      app: { loadBalancer: { serversTransport: "app", servers: [{ url: "https://app-1:8443" }] } },
    });
    const { http: tried } = candidateRoute("app", ["app-1"], args);
    expect(tried!["serversTransports"]).toMatchObject({ "app-1-candidate": known });
    expect(tried!["services"]).toMatchObject({
      "app-1-candidate": { loadBalancer: { serversTransport: "app-1-candidate" } },
    });
  });

  test("is believed without a look at its certificate only by an exception", () => {
    expect(upstreamTransport("app", "https", { serverName: "a.test" })).toEqual({ serverName: "a.test" });
    const exceptions = [
      { unverifiedUpstream: true, why: "its image makes a certificate of its own at each start" },
    ] as const;
    expect(upstreamTransport("app", "https", { exceptions })).toEqual({ serverName: "app", insecureSkipVerify: true });
    expect(upstreamTransport("app", "http")).toEqual({});
  });

  test("is refused where what is said of it cannot be, all at once", () => {
    const why = "its image makes a certificate of its own";
    expect(upstreamProblems("https", undefined)).toEqual([]);
    expect(upstreamProblems("https", { caCertificatePem: ca, serverName: "app.test" })).toEqual([]);
    expect(upstreamProblems("tls", undefined)).toEqual(["protocol: tls is none: give http, h2c or https"]);
    expect(upstreamProblems("http", {})).toEqual([
      'upstreamTls: is for protocol: "https", and it is http: leave it out',
    ]);
    expect(
      upstreamProblems("https", {
        ...{ caCertificatePem: "ca.pem", serverName: "a b" },
        exceptions: [
          { unverifiedUpstream: true, why: "" },
          { unverifiedUpstream: true, why },
        ],
      }),
    ).toEqual([
      "upstreamTls.caCertificatePem: is no certificate: give PEM, with a line -----BEGIN CERTIFICATE-----",
      "upstreamTls.exceptions: unverifiedUpstream: makes caCertificatePem count for nothing: leave one of them out",
      "upstreamTls.serverName: a b is not a host name: give the one that the certificate is for",
      "upstreamTls.exceptions: unverifiedUpstream: has no reason: say why",
    ]);
  });
});
