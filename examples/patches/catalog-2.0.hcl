# A good patch of ten instances: 1, 5 and 10 of them.
patch "catalog-2.0" {
  description = "Catalog 2.0"
  severity    = "high"
  fixes       = ["CVE-2026-2200"]

  target {
    namespace = "default"
    jobs      = ["catalog"]
  }

  apply "job" {
    task = "server"
    env  = { SHOP_VERSION = "2.0" }
  }
}
