# A good patch of the store's machines.
patch "store-1.1" {
  description = "Store 1.1 on a rebuilt machine image"
  severity    = "high"
  fixes       = ["CVE-2026-1101"]

  target {
    namespace = "default"
    jobs      = ["store"]
  }

  apply "image" {
    task  = "vm"
    image = "/images/store-1.1.qcow2"
  }
}
