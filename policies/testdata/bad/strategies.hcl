policy "a" {
  strategy "pased" {}
  strategy "blue_green" { pace = 1 }
  strategy "custom" { fast = true }
  strategy "custom" {
    first = "one"
    zones = { a = 1 }
  }
}
