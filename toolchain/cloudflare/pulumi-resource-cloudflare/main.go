// The Cloudflare plugin of the Pulumi engine.
package main

import (
	"context"
	_ "embed"

	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"bulkhead/toolchain/cloudflare"
)

// Written by tfgen and committed, so that one build is enough.
//
//go:embed schema.json
var schema []byte

func main() {
	pfbridge.Main(
		context.Background(), "cloudflare", cloudflare.Provider(), pfbridge.ProviderMetadata{PackageSchema: schema},
	)
}
