// Package shim gives the provider to the outside. Its import path lies under the provider's, so that it may import what
// is internal there.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// NewProvider gives the Docker provider.
func NewProvider() *schema.Provider { return provider.New("dev")() }
