test "one member at a time, the first one judged alone" {
  target {
    job   = "ledger-db"
    count = 5
    meta  = { role = "stateful" }
  }
  expect {
    critical        = true
    strategy        = "phased"
    stages          = [1, 50, 100]
    instances       = "1"
    targets         = 1
    failures        = 1
    approvals       = 1
    on_inconclusive = "approve"
    prefer          = "lowest_load"
  }
}

test "a virtual machine is tried on twins" {
  target {
    job    = "ledger-db"
    driver = "qemu"
    meta   = { role = "stateful" }
  }
  expect {
    simulate = true
    revert   = "required"
  }
}

test "what keeps no state needs nobody's consent" {
  target { job = "worker" }
  expect {
    critical  = false
    approvals = 0
    instances = "unlimited"
    revert    = ""
  }
}
