limit = 3
policy {}
policy "a" {
  windows "x" {}
  window {}
  judge "x" {}
  budget {}
  budget { targets = 1 }
  rollback {
    nested {}
  }
  nonsense = 1
}
policy "a" {}
policy "b c" {}
dependency "d" { from = "x" }
dependency "e" {
  from = "x"
  to   = "x"
}
polizy "x" {}
