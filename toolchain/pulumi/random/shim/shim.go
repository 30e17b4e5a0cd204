// Package shim gives the provider to the outside. Its import path lies under the provider's, so that it may import what
// is internal there.
package shim

import (
	pf "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// NewProvider gives the random provider.
func NewProvider() pf.Provider { return provider.New() }
