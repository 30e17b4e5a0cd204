module github.com/cloudflare/terraform-provider-cloudflare/shim

go 1.25.8

require (
	github.com/cloudflare/cloudflare-go/v7 v7.9.0
	github.com/cloudflare/terraform-provider-cloudflare v0.0.0-20260824180050-4f360d592a7d
	github.com/hashicorp/terraform-plugin-framework v1.19.0
)
