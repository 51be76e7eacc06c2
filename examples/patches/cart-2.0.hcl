# A good patch of a target that nobody but front needs: blue/green.
patch "cart-2.0" {
  description = "Cart 2.0"
  severity    = "medium"

  target {
    namespace = "default"
    jobs      = ["cart"]
  }

  apply "job" {
    task = "server"
    env  = { SHOP_VERSION = "2.0" }
  }
}
