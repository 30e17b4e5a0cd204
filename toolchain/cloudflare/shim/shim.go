// Package shim gives some of the provider's resources to the outside. Its import path lies under the provider's, so that
// it may import what is internal there. The whole provider has 280 services and takes half an hour to compile.
package shim

import (
	"context"
	"os"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/account_api_token_permission_groups"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/account_token"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/authenticated_origin_pulls_settings"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/dns_record"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/ip_ranges"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/origin_ca_certificate"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/r2_bucket"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/r2_bucket_cors"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/r2_bucket_lifecycle"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/r2_bucket_lock"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/ruleset"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zero_trust_tunnel_cloudflared"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zero_trust_tunnel_cloudflared_config"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zero_trust_tunnel_cloudflared_token"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zone"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zone_dnssec"
	"github.com/cloudflare/terraform-provider-cloudflare/internal/services/zone_setting"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// NewProvider gives a provider of the resources below, which are the provider's own code. It takes an API token and
// nothing else: no global key, which would open the whole account.
func NewProvider() provider.Provider { return cloudflareProvider{} }

type cloudflareProvider struct{}

type configuration struct {
	APIToken types.String `tfsdk:"api_token"`
	BaseURL  types.String `tfsdk:"base_url"`
}

func (cloudflareProvider) Metadata(_ context.Context, _ provider.MetadataRequest, response *provider.MetadataResponse) {
	response.TypeName = "cloudflare"
}

func (cloudflareProvider) Schema(_ context.Context, _ provider.SchemaRequest, response *provider.SchemaResponse) {
	response.Schema = schema.Schema{Attributes: map[string]schema.Attribute{
		"api_token": schema.StringAttribute{Optional: true, Sensitive: true},
		"base_url":  schema.StringAttribute{Optional: true},
	}}
}

func (cloudflareProvider) Configure(
	ctx context.Context, request provider.ConfigureRequest, response *provider.ConfigureResponse,
) {
	var given configuration
	response.Diagnostics.Append(request.Config.Get(ctx, &given)...)
	options := []option.RequestOption{option.WithAPIToken(orVariable(given.APIToken, "CLOUDFLARE_API_TOKEN"))}
	if url := orVariable(given.BaseURL, "CLOUDFLARE_BASE_URL"); url != "" {
		options = append(options, option.WithBaseURL(url))
	}
	client := cloudflare.NewClient(options...)
	response.DataSourceData, response.ResourceData = client, client
}

func orVariable(given types.String, variable string) string {
	if value := given.ValueString(); value != "" {
		return value
	}
	return os.Getenv(variable)
}

func (cloudflareProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		account_token.NewResource,
		authenticated_origin_pulls_settings.NewResource,
		dns_record.NewResource,
		origin_ca_certificate.NewResource,
		r2_bucket.NewResource,
		r2_bucket_cors.NewResource,
		r2_bucket_lifecycle.NewResource,
		r2_bucket_lock.NewResource,
		ruleset.NewResource,
		zero_trust_tunnel_cloudflared.NewResource,
		zero_trust_tunnel_cloudflared_config.NewResource,
		zone_dnssec.NewResource,
		zone_setting.NewResource,
	}
}

func (cloudflareProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		account_api_token_permission_groups.NewAccountAPITokenPermissionGroupsListDataSource,
		dns_record.NewDNSRecordsDataSource,
		ip_ranges.NewIPRangesDataSource,
		zero_trust_tunnel_cloudflared_token.NewZeroTrustTunnelCloudflaredTokenDataSource,
		zone.NewZoneDataSource,
		zone.NewZonesDataSource,
	}
}
