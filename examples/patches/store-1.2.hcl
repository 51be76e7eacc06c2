# Slow and hungry from its first request: the sandbox rejects it.
patch "store-1.2" {
  description = "Store 1.2 with the new price engine"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["store"]
  }

  apply "image" {
    task  = "vm"
    image = "/images/store-1.2.qcow2"
  }
}
