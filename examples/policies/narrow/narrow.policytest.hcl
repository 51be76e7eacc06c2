test "the disks of the store are judged, and nothing is tried on twins" {
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
    simulate = false
    strategy = "phased"
    judged   = ["error_rate", "latency_p90", "io_operations", "io_bytes"]
  }
}

test "the catalog is judged by the KPIs of the shop" {
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
    strategy = "phased"
    judged   = ["error_rate", "latency_p90", "cpu"]
  }
}
