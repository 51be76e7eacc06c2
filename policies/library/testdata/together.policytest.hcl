test "it decides before a policy about the target" {
  target {
    job  = "web-shop"
    meta = { role = "web" }
  }
  patch {
    severity = "critical"
    fixes    = ["CVE-2026-0001"]
  }
  expect {
    strategy = "phased"
    stages   = [10, 100]
    prefer   = "none"
  }
}

test "a budget of another policy still holds" {
  target {
    job  = "ledger-db"
    meta = { role = "stateful" }
  }
  patch {
    severity = "critical"
    fixes    = ["CVE-2026-0001"]
  }
  expect {
    strategy  = "phased"
    instances = "1"
    targets   = 1
  }
}

