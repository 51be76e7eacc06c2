test "a web service gets patched instances beside its own, in judged steps" {
  target {
    job      = "web-shop"
    count    = 20
    services = ["web-shop"]
    meta     = { role = "web" }
  }
  expect {
    strategy        = "blue_green"
    stages          = [10, 50, 100]
    instances       = "10%"
    failures        = 1
    prefer          = "lowest_load"
    on_inconclusive = "one_first"
    judged          = ["error_rate", "latency_p99", "cpu"]
  }
}

test "so does one that others depend on" {
  target {
    job  = "web-login"
    meta = { role = "web" }
  }
  graph { blast_radius = 6 }
  expect {
    critical = true
    strategy = "blue_green"
    stages   = [10, 50, 100]
  }
}

test "anything else is as the default has it" {
  target { job = "worker" }
  expect {
    strategy  = "blue_green"
    stages    = []
    instances = "unlimited"
  }
}
