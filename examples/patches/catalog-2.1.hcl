# A bad patch for ten instances, which have no twins: the first stage finds out.
patch "catalog-2.1" {
  description = "Catalog 2.1"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["catalog"]
  }

  apply "job" {
    task = "server"
    env = {
      SHOP_VERSION = "2.1"
      SHOP_FAULTS  = "errors=0.5"
    }
  }
}
