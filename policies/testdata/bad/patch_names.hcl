patch "p" {
  severity = "urgent"
  color    = "red"
  target {
    where = target.metadata.os == "x"
  }
  target { jobs = [] }
  target {
    jobs  = ["a b"]
    where = patch.severity == "low"
  }
  apply "iso" { task = "vm" }
  apply "image" {
    task  = "vm"
    image = "relative.qcow2"
  }
  apply "script" {
    task   = "vm"
    script = file("missing.sh")
  }
  apply "script" {
    task   = "vm"
    script = file("../../etc/passwd")
  }
  apply "job" { task = "server" }
  apply "job" {
    task   = "server"
    config = "x"
  }
  restart {}
}
