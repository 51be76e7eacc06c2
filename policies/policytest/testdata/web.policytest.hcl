test "a critical target goes in phases" {
  target {
    namespace = "prod"
    job       = "web"
    count     = 10
  }
  graph { blast_radius = 4 }
  expect {
    critical      = true
    strategy      = "phased"
    stages        = [10, 50, 100]
    simulate      = true
    approvals     = 2
    approval_from = "release-managers"
    judged        = ["error_rate", "latency_p99", "cpu"]
  }
}

test "an urgent patch needs nobody" {
  target {
    namespace = "prod"
    job       = "web"
    meta      = { twin = "no" }
  }
  patch { severity = "critical" }
  expect {
    approvals = 0
    strategy  = "blue_green"
    simulate  = false
  }
}

test "nothing starts at the end of the year" {
  now = "2026-12-24T18:00:00Z"
  target {
    namespace = "prod"
    job       = "web"
  }
  expect {
    opens = "2027-01-04"
    waits = "trading freeze"
  }
}

test "a weight is needed" {
  target {
    namespace = "dev"
    job       = "web"
  }
  expect { refused = "targets is null" }
}

test "these expectations are wrong" {
  target {
    namespace = "prod"
    job       = "web"
  }
  expect {
    critical = true
    strategy = "phased"
    stages   = [50, 100]
    opens    = "2027-01-04"
    waits    = "freeze"
  }
}

test "so is this one" {
  target { job = "web" }
  expect { refused = "anything" }
}
