policy "a" {
  applies = target.count > 1e999999999
}
