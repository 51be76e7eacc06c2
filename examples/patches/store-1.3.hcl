# Good in the sandbox; errs and slows down under the load of production.
patch "store-1.3" {
  description = "Store 1.3 with a smaller connection pool"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["store"]
  }

  apply "image" {
    task  = "vm"
    image = "/images/store-1.3.qcow2"
  }
}
