# A fleet of forty services and two hundred instances, for the model: who calls
# whom, how much, and what the builds of the example patches do. Serve it with
# go run ./e2e/fleet/cmd/fleet examples/fleets/shop.hcl
nodes "client" {
  count = 12
  racks = 3
}

# Four virtual machines, which the sandbox has twins of. They are quick, so that a
# twin's caches are soon warm.
service "store" {
  count   = 4
  driver  = "qemu"
  image   = "/images/store-1.0.qcow2"
  latency = "5ms"
  cpu     = "500us"
  boot    = "500ms"

  meta = {
    tier        = "1"
    oakum_paths = "/item/1,/item/2,/item/3,/item/4"
  }
}

service "front" {
  count   = 10
  rate    = 1500
  week    = "evenings"
  latency = "40ms"

  calls = {
    catalog   = 1.2
    cart      = 0.3
    checkout  = 0.05
    sessions  = 1
    recommend = 0.4
    search    = 0.3
    flags     = 0.5
  }
}

service "mobile-api" {
  count   = 6
  rate    = 1000
  week    = "evenings"
  latency = "30ms"

  calls = {
    catalog  = 0.8
    checkout = 0.05
    sessions = 1
    orders   = 0.1
    flags    = 0.5
  }
}

service "partner-api" {
  count   = 3
  rate    = 120
  week    = "office"
  latency = "35ms"

  calls = {
    catalog   = 1
    inventory = 0.5
    orders    = 0.3
  }
}

service "backoffice" {
  count   = 2
  rate    = 90
  week    = "office"
  latency = "50ms"

  calls = {
    catalog   = 0.5
    orders    = 0.5
    customers = 0.4
    reports   = 0.1
  }
}

service "warehouse-ui" {
  count   = 2
  rate    = 60
  week    = "office"
  latency = "45ms"

  calls = {
    warehouse = 1
    shipping  = 0.4
  }
}

service "catalog" {
  count   = 10
  env     = { SHOP_VERSION = "1.0" }
  latency = "12ms"
  boot    = "500ms"

  calls = {
    pricing    = 0.5
    promotions = 0.2
    store      = 1
    media      = 0.3
  }
}

service "cart" {
  count   = 8
  env     = { SHOP_VERSION = "1.0" }
  latency = "10ms"
  cpu     = "200us"
  boot    = "500ms"

  calls = {
    pricing    = 0.6
    promotions = 0.3
  }
}

service "checkout" {
  count   = 6
  latency = "25ms"

  calls = {
    orders   = 1
    payment  = 1
    tax      = 1
    shipping = 0.5
  }
}

service "orders" {
  count   = 8
  latency = "15ms"

  calls = {
    inventory     = 0.6
    ledger        = 0.4
    notifications = 0.5
    customers     = 0.4
  }
}

service "payment" {
  count   = 6
  meta    = { tier = "1" }
  latency = "60ms"

  calls = {
    fraud         = 1
    ledger        = 1
    "vault-cards" = 0.8
  }
}

service "fraud" {
  count   = 4
  latency = "20ms"

  calls = {
    profiles = 1
  }
}

service "vault-cards" {
  count   = 3
  meta    = { tier = "1" }
  latency = "8ms"
}

service "ledger" {
  count   = 5
  meta    = { tier = "1" }
  latency = "9ms"

  calls = {
    audit = 1
  }
}

service "invoicing" {
  count   = 3
  rate    = 24
  week    = "office"
  latency = "40ms"

  calls = {
    ledger    = 1
    tax       = 0.5
    documents = 1
  }
}

service "documents" {
  count   = 3
  latency = "50ms"
}

service "pricing" {
  count   = 8
  latency = "6ms"

  calls = {
    currency = 0.3
  }
}

service "promotions" {
  count   = 4
  latency = "7ms"
}

service "currency" {
  count   = 2
  latency = "3ms"
}

service "tax" {
  count   = 3
  latency = "8ms"

  calls = {
    geo = 0.5
  }
}

service "geo" {
  count   = 3
  latency = "5ms"
}

service "inventory" {
  count   = 8
  latency = "9ms"

  calls = {
    warehouse = 0.2
  }
}

service "warehouse" {
  count   = 5
  latency = "14ms"

  calls = {
    audit = 0.3
  }
}

service "shipping" {
  count   = 4
  latency = "22ms"

  calls = {
    geo      = 0.6
    tracking = 0.3
  }
}

service "tracking" {
  count   = 4
  rate    = 150
  week    = "evenings"
  latency = "15ms"
}

service "returns" {
  count   = 3
  rate    = 30
  week    = "evenings"
  latency = "30ms"

  calls = {
    orders   = 1
    shipping = 0.6
    payment  = 0.4
  }
}

service "search" {
  count   = 6
  latency = "28ms"

  calls = {
    suggest = 0.4
  }
}

service "suggest" {
  count   = 4
  latency = "8ms"
}

service "recommend" {
  count   = 5
  latency = "18ms"

  calls = {
    profiles = 0.8
    reviews  = 0.3
  }
}

service "reviews" {
  count   = 4
  latency = "12ms"

  calls = {
    media = 0.2
  }
}

service "profiles" {
  count   = 6
  latency = "7ms"
}

service "customers" {
  count   = 4
  latency = "10ms"

  calls = {
    profiles = 0.5
    audit    = 0.3
  }
}

service "sessions" {
  count   = 8
  latency = "3ms"

  calls = {
    auth = 0.3
  }
}

service "auth" {
  count   = 6
  meta    = { tier = "1" }
  latency = "14ms"

  calls = {
    audit = 0.2
  }
}

service "flags" {
  count   = 4
  latency = "2ms"
}

service "media" {
  count   = 8
  latency = "20ms"
}

service "notifications" {
  count   = 5
  latency = "16ms"

  calls = {
    mailer = 0.6
  }
}

service "mailer" {
  count   = 4
  latency = "35ms"
}

service "audit" {
  count   = 5
  latency = "6ms"
}

service "reports" {
  count   = 4
  rate    = 12
  week    = "office"
  latency = "90ms"

  calls = {
    ledger    = 2
    inventory = 1
  }
}

# Slow and hungry from its first request: the sandbox rejects it.
build "store-1.2" {
  image   = "/images/store-1.2.qcow2"
  latency = 100
  cpu     = 10
}

# Good in the sandbox, which sends a twin sixty requests/s at most; errs and slows down
# under the load of production, which is more than this even in the small hours.
build "store-1.3" {
  image      = "/images/store-1.3.qcow2"
  errors     = 0.3
  latency    = 4
  above_rate = 150
}

# Boots, and never becomes healthy.
build "store-1.4" {
  image       = "/images/store-1.4.qcow2"
  never_boots = true
}

# Every other answer is an error.
build "catalog-2.1" {
  env    = { SHOP_VERSION = "2.1" }
  errors = 0.5
}

# Every answer comes later, and is right.
build "catalog-2.2" {
  env     = { SHOP_VERSION = "2.2" }
  latency = 12
}
