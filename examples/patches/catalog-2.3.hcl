# As fast as before to anybody who asks, at many times the processor.
patch "catalog-2.3" {
  description = "Catalog 2.3 with compressed pages"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["catalog"]
  }

  apply "job" {
    task = "server"
    env = {
      SHOP_VERSION = "2.3"
      SHOP_FAULTS  = "cpu=40ms"
    }
  }
}
