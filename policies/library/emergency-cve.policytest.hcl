test "a critical fix goes in two stages, the most exposed first" {
  target {
    job   = "web-shop"
    count = 10
  }
  patch {
    severity = "critical"
    fixes    = ["CVE-2026-0001"]
  }
  expect {
    strategy  = "phased"
    stages    = [10, 100]
    order     = "exposed_first"
    approvals = 1
    prefer    = "none"
  }
}

test "a critical patch that fixes no named fault is an ordinary one" {
  target { job = "web-shop" }
  patch { severity = "critical" }
  expect {
    strategy  = "blue_green"
    order     = "least_critical_first"
    approvals = 0
  }
}
