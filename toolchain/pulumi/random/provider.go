// Package random bridges the Terraform provider for random values to Pulumi, with the names that @pulumi/random uses.
package random

import (
	"unicode"

	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-providers/terraform-provider-random/shim"
)

// Version is that of the package @pulumi/random in package.json: the engine asks for a plugin of the same version.
const Version = "4.21.2"

// Provider says how the provider's resources are called in Pulumi programs. RandomBytes is left out: it would put its
// value into its id, in clear.
func Provider() tfbridge.ProviderInfo {
	return tfbridge.ProviderInfo{
		P:            pfbridge.ShimProvider(shim.NewProvider()),
		Name:         "random",
		Version:      Version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"random_id":       {Tok: resource("RandomId")},
			"random_integer":  {Tok: resource("RandomInteger")},
			"random_password": {Tok: resource("RandomPassword")},
			"random_pet":      {Tok: resource("RandomPet")},
			"random_shuffle":  {Tok: resource("RandomShuffle")},
			"random_string":   {Tok: resource("RandomString")},
			"random_uuid":     {Tok: resource("RandomUuid")},
		},
	}
}

func resource(name string) tokens.Type {
	return tokens.Type("random:index/" + string(unicode.ToLower(rune(name[0]))) + name[1:] + ":" + name)
}
