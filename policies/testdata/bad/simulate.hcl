policy "a" {
  simulate {
    required        = true
    seconds         = 60
    minutes         = 1
    pairs           = 17
    on_inconclusive = "pass"
    pool            = "the sandbox"
    workload        = file("absent.har")
  }
}
policy "b" {
  critical = impact.verdict == "passed"
  simulate { workload = patch.severity == "low" ? "replay" : file("../web.har") }
}
policy "c" {
  simulate { workload = "web.har@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
}
policy "d" {
  deadline = file("deadline.txt")
  simulate {
    pairs    = 2.5
    workload = "record"
  }
}
