# Boots, and never becomes healthy.
patch "store-1.4" {
  description = "Store 1.4 with a broken start-up check"
  severity    = "low"

  target {
    namespace = "default"
    jobs      = ["store"]
  }

  apply "image" {
    task  = "vm"
    image = "/images/store-1.4.qcow2"
  }
}
