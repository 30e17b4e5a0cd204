// The Docker plugin of the Pulumi engine.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

	"bulkhead/toolchain/docker"
)

// Written by tfgen and committed, so that one build is enough.
//
//go:embed schema.json
var schema []byte

func main() {
	tfbridge.Main("docker", docker.Version, docker.Provider(), schema)
}
