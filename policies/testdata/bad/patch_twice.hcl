patch "a" {
  severity = "low"
  target { jobs = ["web"] }
  apply "image" {
    task  = "vm"
    image = "/a"
  }
  apply "image" {
    task  = "vm"
    image = "/b"
  }
  apply "script" {
    task   = "vm"
    script = "x"
  }
}
