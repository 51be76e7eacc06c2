policy "a" {
  applies  = target.count
  critical = target.count == "3"
  deadline = 5
  simulate { required = patch.severity == "hihg" }
  strategy "phased" { stages = "fast" }
  strategy "phased" { stages = [50, 10, 100] }
  strategy "custom" {
    first = target.services
  }
  budget { instances = target.services }
}
