# Writes to its disk at every request, which no customer notices.
patch "store-1.5" {
  description = "Store 1.5 with a journal"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["store"]
  }

  apply "image" {
    task  = "vm"
    image = "/images/store-1.5.qcow2"
  }
}
