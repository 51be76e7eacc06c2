test "the store is tried on twins and goes in phases" {
  target {
    job    = "store"
    driver = "qemu"
    count  = 3
    meta   = { tier = "1" }
  }
  graph {
    blast_radius = 4
  }
  expect {
    critical = true
    simulate = true
    strategy = "phased"
    stages   = [10, 50, 100]
    judged   = ["error_rate", "latency_p90", "cpu"]
  }
}

test "the catalog goes in phases because two services need it" {
  target {
    job    = "catalog"
    driver = "raw_exec"
    count  = 10
    meta   = { tier = "2" }
  }
  graph {
    blast_radius = 2
  }
  expect {
    critical = true
    simulate = false
    strategy = "phased"
    stages   = [10, 50, 100]
  }
}

test "the cart goes blue/green" {
  target {
    job    = "cart"
    driver = "raw_exec"
    count  = 2
    meta   = { tier = "2" }
  }
  graph {
    blast_radius = 1
  }
  expect {
    critical = false
    simulate = false
    strategy = "blue_green"
  }
}
