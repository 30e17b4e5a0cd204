// Writes the plugin's schema.json into a directory, for a change of the provider's version or of what is said about it:
//
//	PULUMI_SKIP_MISSING_MAPPING_ERROR=true go run ./tfgen schema --skip-docs --out DIRECTORY
//	cp DIRECTORY/schema.json pulumi-resource-cloudflare/
package main

import (
	pftfgen "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"bulkhead/toolchain/cloudflare"
)

func main() {
	pftfgen.Main("cloudflare", cloudflare.Provider())
}
