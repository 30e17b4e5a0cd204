// Writes a plugin's schema.json into a directory, for a change of the provider's version or of what is said about it:
//
//	PULUMI_SKIP_MISSING_MAPPING_ERROR=true go run ./tfgen docker schema --skip-docs --out DIRECTORY
//	cp DIRECTORY/schema.json pulumi-resource-docker/
package main

import (
	"fmt"
	"os"

	pftfgen "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"

	"bulkhead/toolchain/docker"
	"bulkhead/toolchain/random"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: tfgen docker|random schema --skip-docs --out DIRECTORY")
		os.Exit(2)
	}
	provider := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	switch provider {
	case "docker":
		tfgen.Main("docker", docker.Version, docker.Provider())
	case "random":
		pftfgen.Main("random", random.Provider())
	default:
		fmt.Fprintf(os.Stderr, "no provider %q: docker or random\n", provider)
		os.Exit(2)
	}
}
