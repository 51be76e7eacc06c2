patch "a" {
  severity = target.severity
  target {
    jobs  = ["web"]
    where = "yes"
  }
  apply "job" {
    task = null
    env  = { A = null }
  }
}
