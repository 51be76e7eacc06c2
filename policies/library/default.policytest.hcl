test "what others depend on goes in judged phases" {
  target {
    job   = "pricing"
    count = 10
  }
  graph { blast_radius = 2 }
  expect {
    critical        = true
    strategy        = "phased"
    stages          = [10, 50, 100]
    on_inconclusive = "approve"
    judged          = ["error_rate", "latency_p99", "cpu"]
    failures        = 1
  }
}

test "so does what others can only be reached through" {
  target { job = "gateway" }
  graph { single_point = true }
  expect {
    critical = true
    strategy = "phased"
  }
}

test "so does what its metadata call so" {
  target {
    job  = "billing"
    meta = { tier = "1" }
  }
  expect {
    critical = true
    strategy = "phased"
  }
}

test "anything else is patched blue/green" {
  target { job = "front" }
  graph { blast_radius = 1 }
  expect {
    critical  = false
    strategy  = "blue_green"
    simulate  = false
    order     = "least_critical_first"
    approvals = 0
  }
}

test "a virtual machine is tried on twins first" {
  target {
    job    = "ledger"
    driver = "qemu"
  }
  expect { simulate = true }
}
