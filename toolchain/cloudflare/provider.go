// Package cloudflare bridges some resources of the Terraform provider for Cloudflare to Pulumi, with the names that
// @pulumi/cloudflare uses.
package cloudflare

import (
	"unicode"

	"github.com/cloudflare/terraform-provider-cloudflare/shim"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Version is that of the package @pulumi/cloudflare in package.json: the engine asks for a plugin of the same version.
const Version = "6.22.1"

// Provider says how the provider's resources are called in Pulumi programs.
func Provider() tfbridge.ProviderInfo {
	return tfbridge.ProviderInfo{
		P:            pfbridge.ShimProvider(shim.NewProvider()),
		Name:         "cloudflare",
		Version:      Version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"cloudflare_account_token":                        {Tok: resource("AccountToken")},
			"cloudflare_authenticated_origin_pulls_settings":  {Tok: resource("AuthenticatedOriginPullsSettings")},
			"cloudflare_dns_record":                           {Tok: resource("DnsRecord")},
			"cloudflare_origin_ca_certificate":                {Tok: resource("OriginCaCertificate")},
			"cloudflare_r2_bucket":                            {Tok: resource("R2Bucket")},
			"cloudflare_r2_bucket_cors":                       {Tok: resource("R2BucketCors")},
			"cloudflare_r2_bucket_lifecycle":                  {Tok: resource("R2BucketLifecycle")},
			"cloudflare_r2_bucket_lock":                       {Tok: resource("R2BucketLock")},
			"cloudflare_ruleset":                              {Tok: resource("Ruleset")},
			"cloudflare_zero_trust_tunnel_cloudflared":        {Tok: resource("ZeroTrustTunnelCloudflared")},
			"cloudflare_zero_trust_tunnel_cloudflared_config": {Tok: resource("ZeroTrustTunnelCloudflaredConfig")},
			"cloudflare_zone_dnssec":                          {Tok: resource("ZoneDnssec")},
			"cloudflare_zone_setting":                         {Tok: resource("ZoneSetting")},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"cloudflare_account_api_token_permission_groups_list": {Tok: function("getAccountApiTokenPermissionGroupsList")},
			"cloudflare_dns_records":                              {Tok: function("getDnsRecords")},
			"cloudflare_ip_ranges":                                {Tok: function("getIpRanges")},
			"cloudflare_zero_trust_tunnel_cloudflared_token":      {Tok: function("getZeroTrustTunnelCloudflaredToken")},
			"cloudflare_zone":                                     {Tok: function("getZone")},
			"cloudflare_zones":                                    {Tok: function("getZones")},
		},
	}
}

func resource(name string) tokens.Type {
	return tokens.Type("cloudflare:index/" + string(unicode.ToLower(rune(name[0]))) + name[1:] + ":" + name)
}

func function(name string) tokens.ModuleMember {
	return tokens.ModuleMember("cloudflare:index/" + name + ":" + name)
}
