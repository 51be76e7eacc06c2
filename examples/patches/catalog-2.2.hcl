# Every answer comes later, and is right.
patch "catalog-2.2" {
  description = "Catalog 2.2 with a remote cache"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["catalog"]
  }

  apply "job" {
    task = "server"
    env = {
      SHOP_VERSION = "2.2"
      SHOP_FAULTS  = "latency=150ms"
    }
  }
}
